"""The styles a face can be masked in, by name."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from masking.errors import PolicyError
from masking.face.maskers.blur import blur
from masking.face.maskers.pixelate import pixelate
from masking.face.maskers.solid import solid
from masking.face.maskers.surrogate import Surrogate, surrogate
from masking.face.region import Placed
from masking.face.surrogates.averages import AverageBank, Averages, K
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
"""The styles that are always there."""

AVERAGES: Final = "averages"
"""The style whose faces come with the model: averages of people that its pipeline was given."""

STYLES: Final = (*MASKERS, AVERAGES)
"""The names of all styles."""

TONED: Final = "surrogate"
"""The style that can keep skin tones; averages of whoever was in the photos have but one."""

FIGURATIVE: frozenset[str] = frozenset({"surrogate", AVERAGES})
"""Styles that show something in the middle of a mask, which the mask of a neighbour should not hide."""


def maskers_with(averages: Path | None) -> Mapping[str, Masker]:
    """Give the styles of a model: those that are always there, and its averages of people if it has any.

    Args:
        averages: File that `Averages.save` wrote, or None.

    Raises:
        ModelError: The file holds no averages, or some of fewer than K people.
    """
    if averages is None:
        return MASKERS
    return MappingProxyType({**MASKERS, AVERAGES: Surrogate(AverageBank(Averages.load(averages)))})


def masker_of(style: str, maskers: Mapping[str, Masker]) -> Masker:
    """Give the style of this name.

    Raises:
        PolicyError: The model at hand does not have it; the message says what to do.
    """
    if style in maskers:
        return maskers[style]
    if style == AVERAGES:
        raise PolicyError(
            f"this model has no averages: train it with {K} people or more in the training split "
            "(own photos: data/photos/PERSON)"
        )
    raise PolicyError(f"unknown style; known are {', '.join(maskers)}")
