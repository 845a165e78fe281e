"""From what a detector says of a face to the pixels that get masked: the head, not the box."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.types import Faces

ACROSS: Final = 1.75
"""Half width of a mask in half widths of the box. Detectors box the features tightly; ears identify as well, and
recognisers are fed a square about the face of which no corner may stay in sight."""
ALONG: Final = 1.6
"""The same from crown to chin: hairline and chin lie on the edge of the box or beyond it."""
RISE: Final = 0.06
"""How far a mask is shifted towards the hairline, in box heights: more of a head lies above the box than below."""
DOUBT: Final = 0.3
"""How much more a mask grows where the score is 0: unsure boxes lie further off (docs/benchmarks.md)."""
MARGIN_PX: Final = 1.5
ROUNDNESS: Final = 3
"""Exponent of the outline, a superellipse (Lame curve): 2 is an ellipse, more is fuller at the jaw."""
_ANGLES: Final = np.linspace(0, 2 * np.pi, 96, endpoint=False)
_COSINE_SINE: Final = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_CURVE: Final = np.sign(_COSINE_SINE) * np.abs(_COSINE_SINE) ** (2 / ROUNDNESS)
"""Points (n, 2) of the outline that reaches 1 from its middle; lines between them lie less than .001 inside it."""
_SHIFT: Final = 4
_DUAL: Final = ROUNDNESS / (ROUNDNESS - 1)
_EYE_LINE_WEIGHT: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A face in the pixels of the patch that holds its mask.

    Attributes:
        face_px: Width of the face in pixels, above 0.
        box: (4,) float32 ``x1, y1, x2, y2``; may reach beyond the patch.
        landmarks: (5, 2) float32 as in `Faces`; may lie beyond the patch, or mean nothing (see `upright_turn`).
        inside: (rows, columns) bool, the pixels of the patch that get masked. Unless the picture ends there, no pixel
            of the patch's rim is among them.
        beside: (rows, columns) bool, the pixels of the patch that no mask covers, neither this one nor another.
        draw: 64-bit number that picks what is drawn for this face, see `masking.face.cover.draws`.
    """

    face_px: float
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    inside: NDArray[np.bool_]
    beside: NDArray[np.bool_]
    draw: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One masked area.

    Attributes:
        rows: Rows of the picture that hold the area.
        columns: Columns of the picture that hold the area.
        inside: (rows, columns) bool, which of these pixels belong to it; at least one does.
        face: The face in pixels of these rows and columns.
    """

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]
    face: Placed


def regions(faces: Faces, width: int, height: int, draws: Sequence[int] | None = None) -> Iterator[Region]:
    """Yield the area of each face in order: an outline about the head, turned with it, and the box, cut at the edges.

    Args:
        faces: Faces in pixels of a picture of ``width`` x ``height`` pixels.
        width: Columns of the picture.
        height: Rows of the picture.
        draws: A number for each face that picks its surrogate; zeros where nothing is drawn.

    Raises:
        ValueError: ``draws`` has not one number for each face.
    """
    numbers = [0] * len(faces) if draws is None else draws
    # What no mask covers is known when all are: the patches hold views of this until then.
    visible = np.ones((height, width), bool)
    found = [
        _region(box.astype(np.float64), float(score), landmarks, draw, visible)
        for box, score, landmarks, draw in zip(faces.boxes, faces.scores, faces.landmarks, numbers, strict=True)
    ]
    for region in found:
        visible[region.rows, region.columns] &= ~region.inside
    yield from found


def upright_turn(box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> float | None:
    """Give by how many radians a face is turned clockwise in the picture; None where its landmarks cannot be true.

    The mean of the axis from eyes to mouth and of the line through the eyes, which shrinks and says less in a profile.

    Args:
        box: (4,) of the face.
        landmarks: (5, 2) of the face.
    """
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    axis, line = mouth - eyes, landmarks[1] - landmarks[0]
    length = float(np.hypot(*axis))
    wide, tall = float(box[2] - box[0]), float(box[3] - box[1])
    reach = np.array([wide, tall]) * 0.2
    if not np.isfinite(landmarks).all() or (landmarks < box[:2] - reach).any() or (landmarks > box[2:] + reach).any():
        return None
    if not 0.12 * min(wide, tall) <= length <= 0.8 * max(wide, tall):
        return None
    # An axis that points down in the picture, and a line that points right, are no turn at all.
    down, right = complex(axis[1], -axis[0]) / length, complex(line[0], line[1]) / length
    if (right * down.conjugate()).real < -0.1:
        return None
    return float(np.angle(down + _EYE_LINE_WEIGHT * right))


def _region(
    box: NDArray[np.float64], score: float, landmarks: NDArray[np.float32], draw: int, visible: NDArray[np.bool_]
) -> Region:
    turn = upright_turn(box.astype(np.float32), landmarks) or 0.0
    cosine, sine = np.cos(turn), np.sin(turn)
    wide, tall = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    # The box of a turned head lies along the picture; these are its half sides along the head.
    grown = 1 + DOUBT * (1 - min(max(score, 0.0), 1.0))
    across = np.hypot(cosine * wide, sine * tall) * ACROSS * grown + MARGIN_PX
    upwards = np.hypot(sine * wide, cosine * tall)
    along = upwards * ALONG * grown + MARGIN_PX
    rise = 2 * RISE * upwards
    x, y = (box[0] + box[2]) / 2 + sine * rise, (box[1] + box[3]) / 2 - cosine * rise
    reach_x = (abs(across * cosine) ** _DUAL + abs(along * sine) ** _DUAL) ** (1 / _DUAL)
    reach_y = (abs(across * sine) ** _DUAL + abs(along * cosine) ** _DUAL) ** (1 / _DUAL)
    columns = _span(min(x - reach_x, box[0]), max(x + reach_x, box[2]), visible.shape[1])
    rows = _span(min(y - reach_y, box[1]), max(y + reach_y, box[3]), visible.shape[0])
    inside = _outline(
        (rows.stop - rows.start, columns.stop - columns.start),
        _CURVE * (across, along) @ ((cosine, sine), (-sine, cosine)) + (x - columns.start, y - rows.start),
    )
    inside[_within(rows, box[1], box[3]), _within(columns, box[0], box[2])] = True
    start = np.array([columns.start, rows.start], np.float32)
    face = Placed(
        face_px=float(box[2] - box[0]),
        box=(box - np.tile(start, 2)).astype(np.float32),
        landmarks=landmarks - start,
        inside=inside,
        beside=visible[rows, columns],
        draw=draw,
    )
    return Region(rows, columns, inside, face)


def _outline(shape: tuple[int, int], curve: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which pixels (rows, columns) a closed curve (n, 2) in their coordinates encloses or runs through."""
    inside = np.zeros(shape, np.uint8)
    # OpenCV's coordinates count from the middle of the first pixel, in steps of 1 / 2**_SHIFT of one.
    cv2.fillPoly(inside, [np.rint((curve - 0.5) * (1 << _SHIFT)).astype(np.int32)], (1,), shift=_SHIFT)
    return inside.view(np.bool_)


def _within(span: slice, low: float, high: float) -> slice:
    """The part of a span that the pixels from ``low`` to ``high`` make up, at least one pixel, counted in the span."""
    first = min(max(int(np.floor(low)) - span.start, 0), span.stop - span.start - 1)
    return slice(first, max(int(np.ceil(high)) - span.start, first + 1))


def _span(low: float, high: float, limit: int) -> slice:
    """Whole pixels from ``low`` to ``high`` with one more at either end, within the picture; never none."""
    start = min(max(int(np.floor(low)) - 1, 0), limit - 1)
    return slice(start, max(min(int(np.ceil(high)) + 1, limit), start + 1))
