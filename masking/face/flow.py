"""Where boxes move to from one frame to the next: sparse optical flow of points inside them.

Lucas and Kanade, "An iterative image registration technique" (IJCAI 1981), in pyramids (Bouguet 2001); the median over
a box's points as in Kalal et al., "Forward-backward error" (ICPR 2010), so that background at its rim does not count.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_PX = 640
WINDOW_PX = 11
LEVELS = 3
INNER = 0.7
GRID = 4
AGREE_PX = 1.0
AGREE_SHARE = 0.08

_AT = (np.arange(GRID) + 0.5) / GRID - 0.5
_POINTS = np.stack(np.meshgrid(_AT, _AT), axis=-1).reshape(1, -1, 2) * INNER


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Brightness of one frame at the size at which flow is looked for.

    Attributes:
        luma: (h, w) uint8.
        scale: Its pixels for one of the frame, across and down; at most 1.
    """

    luma: NDArray[np.uint8]
    scale: tuple[float, float]


def view(luma: NDArray[np.uint8]) -> View:
    """Shrink (h, w) uint8 brightness to `LONGEST_PX` at most."""
    height, width = luma.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    if scale == 1.0:
        return View(luma.copy(), (1.0, 1.0))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return View(np.asarray(small, np.uint8), (size[0] / width, size[1] / height))


def carry(before: View, after: View, boxes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Follow boxes from one frame into a neighbouring one, earlier or later.

    Args:
        before: The frame in which the boxes are known.
        after: The frame to find them in.
        boxes: (n, 4) float32 in pixels of the frame.

    Returns:
        The shift of each box, (n, 2) float32 in pixels of the frame, and how far to trust it, (n,) float32: the share
        of its points that were found again and moved alike, 0 to 1.
    """
    if not len(boxes):
        return np.empty((0, 2), np.float32), np.empty(0, np.float32)
    scale = np.array(before.scale, np.float32)
    low, high = boxes[:, None, :2] * scale, boxes[:, None, 2:] * scale
    points = ((low + high) / 2 + (high - low) * _POINTS.astype(np.float32)).astype(np.float32)
    height, width = before.luma.shape
    within = ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=2)
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before.luma, after.luma, points.reshape(-1, 1, 2), None, winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS
    )  # type: ignore[call-overload]
    seen = within & (status.reshape(points.shape[:2]) == 1)
    moves = found.reshape(points.shape) - points
    count = seen.sum(axis=1)
    ranked = np.sort(np.where(seen[:, :, None], moves, np.inf), axis=1)
    rows = np.arange(len(boxes))
    middle = (
        ranked[rows, np.maximum(count - 1, 0) // 2] + ranked[rows, np.minimum(count // 2, len(ranked[0]) - 1)]
    ) / 2
    shift = np.where(count[:, None] > 0, middle, 0)
    near = np.maximum(AGREE_PX, AGREE_SHARE * (high - low)[:, 0].min(axis=1))
    alike = seen & (np.abs(moves - shift[:, None]).max(axis=2) <= near[:, None])
    return (shift / scale).astype(np.float32), alike.mean(axis=1).astype(np.float32)
