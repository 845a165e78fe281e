"""What is left to use: is there still a face, does it look the same way, and is all else as it was?"""

from math import nan

import numpy as np
from numpy.typing import NDArray

from masking.types import Faces, Pixels

SAME_PLACE = 0.5
"""A face is still there when the middle of its landmarks has moved by less than so many distances of the eyes."""


def landmark_error(landmarks: NDArray[np.float32], found: Faces) -> float | None:
    """Give how far the landmarks of a face have moved, in distances of its eyes; None if no face is there any more.

    The mean over the five landmarks of the nearest face found; see `eye_distance` for profiles.

    Args:
        landmarks: (5, 2) in pixels, before masking.
        found: What a detector finds in the masked picture.
    """
    if not len(found):
        return None
    away = found.landmarks.astype(np.float64) - landmarks
    unit = eye_distance(landmarks)
    nearest = int(np.argmin(np.hypot(*away.mean(axis=1).T)))
    if float(np.hypot(*away[nearest].mean(axis=0))) >= SAME_PLACE * unit:
        return None
    return float(np.hypot(*away[nearest].T).mean()) / unit


def eye_distance(landmarks: NDArray[np.float32]) -> float:
    """Distance of the eyes in pixels, at least that from the eyes to the mouth; nan if all are one."""
    points = landmarks.astype(np.float64)
    across = float(np.hypot(*(points[1] - points[0])))
    down = float(np.hypot(*(points[3:].mean(axis=0) - points[:2].mean(axis=0))))
    return max(across, down) or nan


def outside_changed(before: Pixels, after: Pixels, touched: NDArray[np.bool_]) -> int:
    """Count the pixels that changed although no mask lies there.

    Args:
        before: The picture.
        after: The masked picture, of the same shape.
        touched: (h, w) bool, where masks lie.
    """
    changed = before != after
    return int((changed.reshape(*changed.shape[:2], -1).any(axis=2) & ~touched).sum())
