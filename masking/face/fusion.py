"""What several passes found, told as one: boxes that agree become one box, surer than each alone in where it lies."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from masking.face.detectors.centerface import NMS_IOU, suppress
from masking.types import Faces

AGREE_IOU = 0.6
FLOOR = 0.05
"""Least score of a box that may move another; what scores less stands for itself or falls."""
SIDE, SIDE_PX = 0.93, 2.5
"""A side as people draw it, of a side as the detector tells it: this share of it, and so many pixels more."""


def fuse(parts: Sequence[Faces]) -> Faces:
    """Join the faces of several passes over one picture.

    Surest first, a box takes all free ones that overlap it by `AGREE_IOU`, and becomes their mean weighted by score
    (weighted boxes fusion, Solovyev et al., 2019, arXiv:1910.13302); it keeps its own score and landmarks. Then what
    overlaps a surer face by `NMS_IOU` is that face. Neither step lets a less sure box change what a surer one
    found, unless it scores at least `FLOOR`, so faces found above a threshold stay found below it.
    """
    faces = Faces(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )
    faces = faces[np.argsort(-faces.scores, kind="stable")]
    free = np.ones(len(faces), bool)
    boxes, seeds = [], []
    for seed in range(len(faces)):
        if not free[seed]:
            continue
        agree = free & (_overlap(faces.boxes[seed], faces.boxes) >= AGREE_IOU)
        agree[seed] = True
        free &= ~agree
        weights = np.where(agree & (faces.scores >= FLOOR), faces.scores, 0)
        weights[seed] = faces.scores[seed]
        # Only those that count are summed: zeros among them would change the order of the sum, and its last bits.
        heavy = weights > 0
        boxes.append(weights[heavy] @ faces.boxes[heavy] / weights[heavy].sum())
        seeds.append(seed)
    kept = faces[np.array(seeds, np.intp)]
    moved = np.array(boxes, np.float32).reshape(-1, 4)
    return suppress(Faces(moved, kept.scores, kept.landmarks), NMS_IOU)


def fitted(faces: Faces, width: int, height: int) -> Faces:
    """Correct the sides of the detector's boxes, which it draws too small about small faces and too large about others.

    Boxes keep their middle and are clipped to ``width`` x ``height`` pixels.
    """
    middle = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    half = ((faces.boxes[:, 2:] - faces.boxes[:, :2]) * SIDE + SIDE_PX) / 2
    limit = np.array([width, height], np.float32)
    corners = [np.clip(middle - half, 0, limit), np.clip(middle + half, 0, limit)]
    return Faces(np.concatenate(corners, axis=1).astype(np.float32), faces.scores, faces.landmarks)


def _overlap(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of one box with each of (n, 4)."""
    shared = np.prod(np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return np.asarray(shared / np.maximum(area - shared, 1e-6), np.float32)
