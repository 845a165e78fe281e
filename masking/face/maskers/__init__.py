"""The styles a face can be masked in, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from masking.face.maskers.blur import blur
from masking.face.maskers.pixelate import pixelate
from masking.face.maskers.solid import solid
from masking.types import Pixels


class Masker(Protocol):
    """Replaces a patch of picture; every style keeps this contract (see its test)."""

    def __call__(self, patch: Pixels, *, face_px: float, has_alpha: bool) -> Pixels:
        """Mask one patch.

        Args:
            patch: (h, w) or (h, w, channels), uint8 or uint16, h and w at least 1; never changed.
            face_px: Width of the face in pixels, above 0.
            has_alpha: Whether the last channel is alpha.

        Returns:
            A new array of the same shape and dtype.
        """


MASKERS: Mapping[str, Masker] = MappingProxyType({"solid": solid, "pixelate": pixelate, "blur": blur})
