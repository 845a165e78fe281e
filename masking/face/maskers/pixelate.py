"""Pixelate: the region becomes a coarse mosaic whose tiles grow with the face."""

import cv2
import numpy as np

from masking.face.region import Placed
from masking.types import Pixels

TILES_ACROSS = 4


def pixelate(patch: Pixels, face: Placed, *, has_alpha: bool) -> Pixels:
    """Average the patch over square tiles, `TILES_ACROSS` to the width of the face, whatever its size.

    Tiles of a fixed size leave a large face readable: what is left must depend on the face, not on the picture.
    """
    height, width = patch.shape[:2]
    tile = max(face.face_px / TILES_ACROSS, 1.0)
    across, down = (max(1, round(side / tile)) for side in (width, height))
    small = cv2.resize(patch, (across, down), interpolation=cv2.INTER_AREA)
    mosaic = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(mosaic).reshape(patch.shape)  # type: ignore[return-value]  # cv2 keeps the dtype
