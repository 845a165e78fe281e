"""What a picture shows once a viewer spreads its brightness: dark ones, and samples of few bits in many."""

from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from masking.types import Pixels

_ENDS: Final = (0.5, 99.5)
"""Percentiles between which a picture has its levels: a hot pixel or a time stamp says nothing of the rest."""
_NARROW: Final = 0.25
"""Share of the range below which a picture counts as pale. Photos as cameras give them take more than half of it."""
_LEAST_STEPS: Final = 4
"""Fewer levels than these show nobody."""
_SAMPLE_SIDE: Final = 512


class Levels(NamedTuple):
    """The darkest and the brightest level of what a picture shows, in units of its samples."""

    low: float
    high: float


def pale(pixels: Pixels) -> Levels | None:
    """Return the levels of a picture that shows more when they are spread; None where they are wide enough, or flat.

    That is so of underexposed photos, and of 10 or 12 bits that are stored in 16, whose upper 8 bits are all but empty.

    Args:
        pixels: (h, w), (h, w, 2) grey and alpha, (h, w, 3) or (h, w, 4) RGB and alpha; uint8 or uint16.
    """
    step = max(1, max(pixels.shape[:2]) // _SAMPLE_SIDE)
    low, high = np.percentile(_shown(pixels)[::step, ::step], _ENDS)
    if not _LEAST_STEPS <= high - low < _NARROW * np.iinfo(pixels.dtype).max:
        return None
    return Levels(float(low), float(high))


def spread(pixels: Pixels, levels: Levels) -> NDArray[np.uint8]:
    """Return the picture with these levels as black and white, and what lies between them spread evenly.

    Args:
        pixels: as for `pale`; alpha is left out.
        levels: of this picture, or of the one that it is to be compared with.

    Returns:
        (h, w) grey or (h, w, 3) RGB, uint8.
    """
    scale = 255 / (levels.high - levels.low)
    values = np.arange(np.iinfo(pixels.dtype).max + 1)
    table = np.clip((values - levels.low) * scale, 0, 255).astype(np.uint8)
    return cast(NDArray[np.uint8], table[_shown(pixels)])


def _shown(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
