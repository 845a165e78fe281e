"""What a surrogate may know of the picture: a few coarse bins of its light, nothing else."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed

DARK: Final = 45.0
"""Brightness of the visible surroundings, of 255, below which a surrogate is shown darker."""
DIMMED: Final = 0.55
COLOURLESS: Final = 3.0
_TONES: Final = (150.0, 95.0)
_SAMPLES: Final = 64
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Scenery:
    """The bins of the picture.

    Finer ones, such as the colours beside the head, would make a surrogate fit in better; but they would carry into
    the mask what tells one person's pictures from another's.

    Attributes:
        exposure: Factor on the surrogate's levels, one of two.
        grey: Whether the picture has no colour.
    """

    exposure: float
    grey: bool


def scenery(rgb: NDArray[np.uint8], face: Placed) -> Scenery:
    """Read the bins from a patch (h, w, 3): the light from the pixels that no mask covers."""
    step = max(1, min(face.inside.shape) // _SAMPLES)
    sampled = rgb[::step, ::step]
    around = sampled[face.beside[::step, ::step]]
    dark = bool(around.size) and float(around.mean()) < DARK
    colour = np.ptp(sampled.astype(np.int16), axis=2).mean()
    return Scenery(DIMMED if dark else 1.0, bool(colour < COLOURLESS))


def skin_tone(rgb: NDArray[np.uint8], face: Placed) -> int:
    """Say in three bins how bright the middle of the face is: 0 light, 1 medium, 2 dark."""
    rows, columns = _box(face, rgb.shape)
    luma = float(np.median(rgb[rows, columns].astype(np.float32) @ _LUMA))
    return sum(luma < limit for limit in _TONES)


def _box(face: Placed, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The inner part of the box in the patch, every so many pixels; at least one."""
    x1, y1, x2, y2 = (float(value) for value in face.box)
    spans = []
    for low, high, limit in ((y1, y2, shape[0]), (x1, x2, shape[1])):
        inset = 0.12 * (high - low)
        first = min(max(int(low + inset), 0), limit - 1)
        last = max(min(int(high - inset), limit), first + 1)
        spans.append(slice(first, last, max(1, (last - first) // _SAMPLES)))
    return spans[0], spans[1]
