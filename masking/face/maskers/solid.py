"""Solid: the region becomes one black, opaque area, the same for everybody."""

import numpy as np

from masking.face.region import Placed
from masking.types import Pixels


def solid(patch: Pixels, face: Placed, *, has_alpha: bool) -> Pixels:
    """Paint the patch black; an alpha channel becomes fully opaque, so that nothing shines through or draws in it."""
    painted = np.zeros_like(patch)
    if has_alpha:
        painted[..., -1] = np.iinfo(patch.dtype).max
    return painted
