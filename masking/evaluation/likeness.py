"""How much of what a face looked like is still there in a masked picture."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

OPEN: Final = 0.6
"""Likeness from which a face counts as open; between what a mask leaves and what coarse recoding does."""

_DETAIL: Final = 0.05
"""Finest detail that is compared, as a share of the face's width: what a blur or a mosaic takes away."""
_AXES: Final = 0.85
"""The part of the box that is compared, an ellipse: its corners show what is behind the head."""
_LEAST_PIXELS: Final = 9
_FLAT: Final = 1.0
"""Contrast in grey levels below which there is no detail to compare, only what is left of light and shade."""
_SAME_LEVEL: Final = 3.0
_EVEN: Final = 0.1
"""Contrast in grey levels below which all is of one brightness."""


def likeness(before: NDArray[np.uint8], after: NDArray[np.uint8], box: NDArray[np.float32]) -> float:
    """Say how much of the detail of a face is still in its place, from 0 (nothing) to 1 (all of it).

    The detail of both pictures is what a Gaussian blur takes away. It is compared in two ways, and the smaller one
    counts: its normalised correlation, which a weak remainder can have as well, and the share of its contrast that is
    left, which something new can have by chance.

    Args:
        before: (h, w, 3) uint8 RGB, the original.
        after: The masked picture, of the same shape.
        box: (4,) ``x1, y1, x2, y2`` of a face in pixels, which may reach beyond the picture.
    """
    rows, columns, inside = _ellipse(box.astype(np.float64), *before.shape[:2])
    if inside.sum() < _LEAST_PIXELS:
        inside = np.ones_like(inside)
    if not inside.any():
        return 0.0
    sigma = max(float(box[2] - box[0]) * _DETAIL, 1.0)
    grey = [cv2.cvtColor(each[rows, columns], cv2.COLOR_RGB2GRAY).astype(np.float32) for each in (before, after)]
    old, new = (
        (each - cv2.GaussianBlur(each, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))[inside] for each in grey
    )
    energy, shared = float((old**2).mean()), float((old * new).mean())
    if energy < _FLAT**2:
        return _flat_likeness(grey[0][inside], grey[1][inside])
    return _share(energy, shared, float((new**2).mean()))


def _flat_likeness(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    """Compare brightness, and where it varies at all, how: a black mask over a dark corner is about as bright."""
    if np.abs(old - new).mean() >= _SAME_LEVEL:
        return 0.0
    old, new = old - old.mean(), new - new.mean()
    energy = float((old**2).mean())
    if energy < _EVEN**2:
        return 1.0
    return float(_share(energy, float((old * new).mean()), float((new**2).mean())) >= OPEN)


def _share(energy: float, shared: float, left: float) -> float:
    correlation = shared / (energy * max(left, 1e-9)) ** 0.5
    return float(np.clip(min(correlation, shared / energy), 0, 1))


def _ellipse(box: NDArray[np.float64], height: int, width: int) -> tuple[slice, slice, NDArray[np.bool_]]:
    x1, y1, x2, y2 = box
    left, right = max(int(np.floor(x1)), 0), min(int(np.ceil(x2)), width)
    top, bottom = max(int(np.floor(y1)), 0), min(int(np.ceil(y2)), height)
    right, bottom = max(left, right), max(top, bottom)
    u = (np.arange(left, right) + 0.5 - (x1 + x2) / 2) / ((x2 - x1) / 2 * _AXES)
    v = (np.arange(top, bottom) + 0.5 - (y1 + y2) / 2) / ((y2 - y1) / 2 * _AXES)
    return slice(top, bottom), slice(left, right), (u**2)[None, :] + (v**2)[:, None] <= 1
