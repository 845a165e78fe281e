"""What a surrogate may know of the picture: a few coarse bins of its light, nothing else."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed
from masking.types import Pixels

DARK: Final = 45.0
"""Brightness of the visible surroundings, of 255, below which a surrogate is shown darker."""
DIMMED: Final = 0.55
COLOURLESS: Final = 3.0
_SAMPLES: Final = 64


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


def rgb_of(patch: Pixels) -> NDArray[np.uint8]:
    """Give any patch as (h, w, 3) uint8, without alpha."""
    levels = patch if patch.dtype == np.uint8 else patch >> 8
    colour = levels[..., None] if levels.ndim == 2 else levels[..., : 1 if levels.shape[2] < 3 else 3]
    return np.asarray(np.broadcast_to(colour, (*colour.shape[:2], 3)), np.uint8)
