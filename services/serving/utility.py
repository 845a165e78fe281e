"""How much of what came in is left to use: one number in [0, 1] of an answer, which releases are compared by."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

GRID: Final = 128
"""Cells along each side of a picture that areas are counted in."""


def uncovered_share(boxes: NDArray[np.floating], width: int, height: int) -> float:
    """Return the share of a picture that lies outside of all boxes, to a cell of 1/128 of its sides.

    Args:
        boxes: (n, 4) in pixels, ``x1, y1, x2, y2``; may reach over the edges and into each other.
        width: In pixels.
        height: In pixels.
    """
    if not len(boxes):
        return 1.0
    scale = GRID / np.array([width, height, width, height], float)
    cells = np.clip(np.round(np.asarray(boxes, float) * scale), 0, GRID).astype(int)
    covered = np.zeros((GRID, GRID), np.bool_)
    for left, top, right, bottom in cells:
        covered[top:bottom, left:right] = True
    return 1.0 - float(covered.mean())
