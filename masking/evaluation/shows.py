"""Faces that show in a masked picture, judged without the original: those that lie outside of all masks."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.types import Faces

COVERED: Final = 0.35
"""Share of a face from which it counts as under masks. Next to a mask a detector takes a collar for a part of a face,
and the mask's own edge for the rest of it."""


def uncovered(faces: Faces, masks: NDArray[np.floating]) -> Faces:
    """Return the faces that lie outside of all masks.

    It says nothing of whether a mask hides who is under it: to a detector a blurred face is a face.

    Args:
        faces: What a detector finds in the masked picture.
        masks: (n, 4) boxes of the faces that were masked, ``x1, y1, x2, y2`` in pixels.
    """
    boxes, masks = np.asarray(faces.boxes, np.float64), np.asarray(masks, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], masks[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], masks[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return faces[(shared / areas[:, None]).max(axis=1, initial=0.0) < COVERED]
