"""From what a detector says of a face to the pixels that get masked: the head, not the box."""

import cmath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, hypot, isfinite, sin
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
        shown: Whether a style that shows an artificial head shows one here; else the mask is filled with its ground.
        tone: Bin of its skin tone (`masking.face.surrogates.tones`) where that is to be kept; None where it is not.
    """

    face_px: float
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    inside: NDArray[np.bool_]
    beside: NDArray[np.bool_]
    draw: int = 0
    shown: bool = True
    tone: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One masked area.

    Attributes:
        rows: Rows of the picture that hold the area.
        columns: Columns of the picture that hold the area.
        inside: (rows, columns) bool, which of these pixels belong to it; at least one does.
        face: The face in pixels of these rows and columns.
        score: The detector's, in [0, 1].
    """

    rows: slice
    columns: slice
    inside: NDArray[np.bool_]
    face: Placed
    score: float


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


def silhouette(faces: Faces, width: int, height: int) -> tuple[slice, slice, NDArray[np.bool_]] | None:
    """Give the area of all faces together: what the `regions` cover, for less work; None where there is no face.

    Returns:
        The rows and the columns of the picture that hold it, and (rows, columns) bool, which of their pixels it takes.
    """
    heads = [
        _head(box.tolist(), float(score), landmarks, width, height)
        for box, score, landmarks in zip(faces.boxes, faces.scores, faces.landmarks, strict=True)
    ]
    if not heads:
        return None
    rows = slice(min(head.rows.start for head in heads), max(head.rows.stop for head in heads))
    columns = slice(min(head.columns.start for head in heads), max(head.columns.stop for head in heads))
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    for head in heads:
        _draw(inside, head, rows.start, columns.start)
    return rows, columns, inside


def upright_turn(box: NDArray[np.float32], landmarks: NDArray[np.float32]) -> float | None:
    """Give by how many radians a face is turned clockwise in the picture; None where its landmarks cannot be true.

    The mean of the axis from eyes to mouth and of the line through the eyes, which shrinks and says less in a profile.

    Args:
        box: (4,) of the face.
        landmarks: (5, 2) of the face.
    """
    points = [(float(x), float(y)) for x, y in landmarks.tolist()]
    x1, y1, x2, y2 = box.tolist()
    wide, tall = x2 - x1, y2 - y1
    low_x, low_y, high_x, high_y = x1 - 0.2 * wide, y1 - 0.2 * tall, x2 + 0.2 * wide, y2 + 0.2 * tall
    if not all(isfinite(x) and isfinite(y) and low_x <= x <= high_x and low_y <= y <= high_y for x, y in points):
        return None
    (right_x, right_y), (left_x, left_y), _, (first_x, first_y), (last_x, last_y) = points
    axis = complex(first_x + last_x - right_x - left_x, first_y + last_y - right_y - left_y) / 2
    length = abs(axis)
    if not 0.12 * min(wide, tall) <= length <= 0.8 * max(wide, tall):
        return None
    # An axis that points down in the picture, and a line that points right, are no turn at all.
    down, right = complex(axis.imag, -axis.real) / length, complex(left_x - right_x, left_y - right_y) / length
    if (right * down.conjugate()).real < -0.1:
        return None
    return cmath.phase(down + _EYE_LINE_WEIGHT * right)


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """What is masked of one face: what the curve (n, 2) encloses, and the box, in the pixels of the picture."""

    rows: slice
    columns: slice
    curve: NDArray[np.float64]
    box_rows: slice
    box_columns: slice


def _head(corners: Sequence[float], score: float, landmarks: NDArray[np.float32], width: int, height: int) -> _Head:
    x1, y1, x2, y2 = corners
    turn = upright_turn(np.array(corners, np.float32), landmarks) or 0.0
    cosine, sine = cos(turn), sin(turn)
    wide, tall = (x2 - x1) / 2, (y2 - y1) / 2
    # The box of a turned head lies along the picture; these are its half sides along the head.
    grown = 1 + DOUBT * (1 - min(max(score, 0.0), 1.0))
    across = hypot(cosine * wide, sine * tall) * ACROSS * grown + MARGIN_PX
    upwards = hypot(sine * wide, cosine * tall)
    along = upwards * ALONG * grown + MARGIN_PX
    rise = 2 * RISE * upwards
    x, y = (x1 + x2) / 2 + sine * rise, (y1 + y2) / 2 - cosine * rise
    reach_x = (abs(across * cosine) ** _DUAL + abs(along * sine) ** _DUAL) ** (1 / _DUAL)
    reach_y = (abs(across * sine) ** _DUAL + abs(along * cosine) ** _DUAL) ** (1 / _DUAL)
    columns = _span(min(x - reach_x, x1), max(x + reach_x, x2), width)
    rows = _span(min(y - reach_y, y1), max(y + reach_y, y2), height)
    turned = np.array([[across * cosine, across * sine], [-along * sine, along * cosine]])
    return _Head(rows, columns, _CURVE @ turned + (x, y), _within(rows, y1, y2), _within(columns, x1, x2))


def _region(
    box: NDArray[np.float64], score: float, landmarks: NDArray[np.float32], draw: int, visible: NDArray[np.bool_]
) -> Region:
    head = _head(box.tolist(), score, landmarks, visible.shape[1], visible.shape[0])
    rows, columns = head.rows, head.columns
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    _draw(inside, head, rows.start, columns.start)
    start = np.array([columns.start, rows.start], np.float32)
    face = Placed(
        face_px=float(box[2] - box[0]),
        box=(box - np.tile(start, 2)).astype(np.float32),
        landmarks=landmarks - start,
        inside=inside,
        beside=visible[rows, columns],
        draw=draw,
    )
    return Region(rows, columns, inside, face, score)


def _draw(inside: NDArray[np.bool_], head: _Head, top: int, left: int) -> None:
    """Mark the pixels that a head's curve encloses or runs through, and its box; ``inside`` begins at top, left."""
    # OpenCV's coordinates count from the middle of the first pixel, in steps of 1 / 2**_SHIFT of one.
    curve = np.rint((head.curve - (left + 0.5, top + 0.5)) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(inside.view(np.uint8), [curve], (1,), shift=_SHIFT)
    rows, columns = head.box_rows, head.box_columns
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = True


def _within(span: slice, low: float, high: float) -> slice:
    """The part of a span that the pixels from ``low`` to ``high`` make up, at least one pixel."""
    first = min(max(floor(low), span.start), span.stop - 1)
    return slice(first, min(max(ceil(high), first + 1), span.stop))


def _span(low: float, high: float, limit: int) -> slice:
    """Whole pixels from ``low`` to ``high`` with one more at either end, within the picture; never none."""
    start = min(max(floor(low) - 1, 0), limit - 1)
    return slice(start, max(min(ceil(high) + 1, limit), start + 1))
