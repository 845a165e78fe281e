"""The styles a face can be masked in, by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from masking.face.maskers.blur import blur
from masking.face.maskers.pixelate import pixelate
from masking.face.maskers.solid import solid
from masking.face.maskers.surrogate import surrogate
from masking.face.region import Placed
from masking.types import Pixels


class Masker(Protocol):
    """Replaces a patch of picture; every style keeps this contract (see its test)."""

    def __call__(self, patch: Pixels, face: Placed, /, *, has_alpha: bool) -> Pixels:
        """Mask one patch.

        Args:
            patch: (h, w) or (h, w, channels), uint8 or uint16, h and w at least 1; never changed.
            face: The face in pixels of the patch; its ``inside`` is what the caller will replace.
            has_alpha: Whether the last channel is alpha.

        Returns:
            A new array of the same shape and dtype.
        """


MASKERS: Mapping[str, Masker] = MappingProxyType(
    {"solid": solid, "pixelate": pixelate, "blur": blur, "surrogate": surrogate}
)

FIGURATIVE: frozenset[str] = frozenset({"surrogate"})
"""Styles that show something in the middle of a mask, which the mask of a neighbour should not hide."""
