"""From a detector's box to the pixels that get masked."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masking.types import Faces

GROWTH = 1.55
"""Detectors box the features tightly; hairline, chin and ears identify as well (docs/benchmarks.md has the figures)."""
MARGIN_PX = 1.5
ROUNDNESS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One masked area.

    Attributes:
        rows: Rows of the picture that hold the area.
        columns: Columns of the picture that hold the area.
        inside: (rows, columns) bool, which of these pixels belong to it; at least one does.
        face_px: Width of the face in pixels.
    """

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]
    face_px: float


def regions(faces: Faces, width: int, height: int) -> Iterator[Region]:
    """Yield the area of each face: a superellipse (Lame curve) about the box grown by `GROWTH`, cut at the edges.

    Args:
        faces: Boxes in pixels of a picture of ``width`` x ``height`` pixels.
        width: Columns of the picture.
        height: Rows of the picture.
    """
    for x1, y1, x2, y2 in faces.boxes.astype(np.float64):
        half_wide, half_tall = (x2 - x1) / 2 * GROWTH + MARGIN_PX, (y2 - y1) / 2 * GROWTH + MARGIN_PX
        across, down = (x1 + x2) / 2, (y1 + y2) / 2
        columns = _span(across - half_wide, across + half_wide, width)
        rows = _span(down - half_tall, down + half_tall, height)
        u = np.abs((np.arange(columns.start, columns.stop) + 0.5 - across) / half_wide)
        v = np.abs((np.arange(rows.start, rows.stop) + 0.5 - down) / half_tall)
        inside = (u**ROUNDNESS)[None, :] + (v**ROUNDNESS)[:, None] <= 1
        yield Region(rows, columns, inside, float(x2 - x1))


def _span(low: float, high: float, limit: int) -> slice:
    start = min(max(int(np.floor(low)), 0), limit - 1)
    return slice(start, max(min(int(np.ceil(high)), limit), start + 1))
