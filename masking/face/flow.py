"""Where boxes move to from one frame to the next: sparse optical flow of points inside them.

Lucas and Kanade, "An iterative image registration technique" (IJCAI 1981), in pyramids (Bouguet 2001); the median over
a box's points as in Kalal et al., "Forward-backward error" (ICPR 2010), so that background at its rim does not count.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.cuts import afar, likeness

LONGEST_PX = 640
FLOW_PX = 480
WINDOW_PX = (8, 12)
"""Columns and rows about a point. OpenCV takes eight columns in a step: eleven cost half as much again."""
LEVELS = 3
STEPS, STEP_PX = 30, 0.03
"""The search for a point ends after so many steps, or with one that is shorter."""
INNER = 0.7
GRID = 4
AGREE_PX = 1.0
AGREE_SHARE = 0.08
FADE_LIKENESS = 0.8
FADE_GAIN, FADE_LEVELS = 0.03, 3.0

_AT = (np.arange(GRID) + 0.5) / GRID - 0.5
_POINTS = (np.stack(np.meshgrid(_AT, _AT), axis=-1).reshape(1, -1, 2) * INNER).astype(np.float32)
_ENOUGH = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, STEPS, STEP_PX)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Brightness of one frame, shrunk.

    Attributes:
        luma: (h, w) uint8, `LONGEST_PX` at most.
        coarse: (h, w) uint8 in which flow is looked for: ``luma``, halved where a frame that was not shrunk is larger
            than `FLOW_PX`.
        scale: Pixels of ``coarse`` for one of the frame, across and down; at most 1.
        small: (36, 64) uint8, the same from afar.
    """

    luma: NDArray[np.uint8]
    coarse: NDArray[np.uint8]
    scale: tuple[float, float]
    small: NDArray[np.uint8]


def view(luma: NDArray[np.uint8]) -> View:
    """Shrink (h, w) uint8 brightness."""
    height, width = luma.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = luma.copy() if scale == 1 else np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    # In what was shrunk already, small faces would have too few pixels left.
    coarse = _halved(shrunk, FLOW_PX) if scale == 1 else shrunk
    return View(shrunk, coarse, (coarse.shape[1] / width, coarse.shape[0] / height), afar(shrunk))


def _halved(luma: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Halve (h, w) until no side is longer: OpenCV halves several times faster than it shrinks by any other step."""
    while max(luma.shape) > longest:
        height, width = (max(1, side // 2) for side in luma.shape)
        luma = np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return luma


def levelled(after: View, before: View) -> NDArray[np.uint8]:
    """Give a frame in the brightness and contrast of the one before, (h, w) uint8: flow takes a fade for movement.

    Frames that are not alike differ by more than a fade; they stay as they are.
    """
    (x_mean, x_spread), (y_mean, y_spread) = (_tone(each.small) for each in (after, before))
    gain = y_spread / x_spread if x_spread else 0.0
    if abs(gain - 1) < FADE_GAIN and abs(x_mean - y_mean) < FADE_LEVELS:
        return after.coarse
    if likeness(after.small, before.small) < FADE_LIKENESS:
        return after.coarse
    levels = np.rint(gain * (np.arange(256) - x_mean) + y_mean).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(after.coarse, levels), np.uint8)


def _tone(small: NDArray[np.uint8]) -> tuple[float, float]:
    """Give the mean of (h, w) brightness and its standard deviation."""
    mean, spread = cv2.meanStdDev(small)
    return float(mean[0, 0]), float(spread[0, 0])


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
    points = ((low + high) / 2 + (high - low) * _POINTS).astype(np.float32)
    height, width = before.coarse.shape
    within = ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=2)
    lit = levelled(after, before)
    levels = LEVELS if before.coarse is before.luma else LEVELS - 1
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before.coarse, lit, points.reshape(-1, 1, 2), None, winSize=WINDOW_PX, maxLevel=levels, criteria=_ENOUGH
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
