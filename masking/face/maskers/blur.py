"""Blur: a Gaussian blur that grows with the face. Cosmetic: an attacker who knows it recognises people through it."""

import cv2
import numpy as np

from masking.face.region import Placed
from masking.types import Pixels

SIGMA_PER_FACE = 0.12


def blur(patch: Pixels, face: Placed, *, has_alpha: bool) -> Pixels:
    """Blur the patch with a standard deviation of `SIGMA_PER_FACE` face widths.

    Cosmetic, not anonymous: see the measured risk in docs/benchmarks.md before choosing it.
    """
    sigma = max(face.face_px * SIGMA_PER_FACE, 1.0)
    # A wide Gaussian over a shrunken patch is the same picture at a fraction of the cost.
    shrink = max(1, int(sigma // 4))
    height, width = patch.shape[:2]
    size = (max(1, width // shrink), max(1, height // shrink))
    small = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
    blurred = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred).reshape(patch.shape)  # type: ignore[return-value]  # cv2 keeps the dtype
