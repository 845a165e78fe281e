"""From what a detector says of a face to the pixels that get masked: the head, not the box."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan
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
    heads = _heads(faces, width, height)
    found = [
        _region(box, float(score), landmarks, draw, visible, head)
        for box, score, landmarks, draw, head in zip(
            faces.boxes, faces.scores, faces.landmarks, numbers, heads, strict=True
        )
    ]
    for region in found:
        visible[region.rows, region.columns] &= ~region.inside
    yield from found


def silhouette(faces: Faces, width: int, height: int) -> tuple[slice, slice, NDArray[np.bool_]] | None:
    """Give the area of all faces together: what the `regions` cover, for less work; None where there is no face.

    Returns:
        The rows and the columns of the picture that hold it, and (rows, columns) bool, which of their pixels it takes.
    """
    heads = _heads(faces, width, height)
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
    turn = float(_turns(box[None], landmarks[None])[0])
    return None if isnan(turn) else turn


def _turns(boxes: NDArray[np.floating], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the `upright_turn` of faces with boxes (n, 4) and landmarks (n, 5, 2): (n,), NaN where there is none."""
    low, high = boxes[:, None, :2].astype(np.float64), boxes[:, None, 2:].astype(np.float64)
    sides = high - low
    rim = 0.2 * sides
    true = np.asarray(((landmarks >= low - rim) & (landmarks <= high + rim)).all(axis=(1, 2)))
    points = np.where(true[:, None, None], landmarks, np.float64(0))
    right_eye, left_eye, _, *mouth = (points[:, :, 0] + 1j * points[:, :, 1]).T
    axis = (mouth[0] + mouth[1] - right_eye - left_eye) / 2
    length = np.abs(axis)
    true &= (length >= 0.12 * sides.min(axis=(1, 2))) & (length <= 0.8 * sides.max(axis=(1, 2)))
    length = np.where(true, length, 1.0)
    # An axis that points down in the picture, and a line that points right, are no turn at all.
    down, right = -1j * axis / length, (left_eye - right_eye) / length
    true &= (right * down.conj()).real >= -0.1
    turn = down + _EYE_LINE_WEIGHT * right
    return np.where(true, np.arctan2(turn.imag, turn.real), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """What is masked of one face, in the pixels of the picture: what the curve encloses, and the box.

    The curve is (n, 2) int32 as OpenCV draws it: from the middle of the first pixel, in 1 / 2**_SHIFT of one.
    """

    rows: slice
    columns: slice
    curve: NDArray[np.int32]
    box_rows: slice
    box_columns: slice


def _heads(faces: Faces, width: int, height: int) -> list[_Head]:
    """Give the heads of all faces at once: a video has many of them in each frame."""
    if not len(faces):
        return []
    boxes = faces.boxes.astype(np.float64)
    low, high = boxes[:, :2], boxes[:, 2:]
    turn = _turns(boxes, faces.landmarks)
    turn[np.isnan(turn)] = 0.0
    cosine, sine = np.cos(turn), np.sin(turn)
    wide, tall = ((high - low) / 2).T
    # The box of a turned head lies along the picture; these are its half sides along the head.
    grown = 1 + DOUBT * (1 - np.minimum(np.maximum(faces.scores, 0.0), 1.0).astype(np.float64))
    across = np.hypot(cosine * wide, sine * tall) * ACROSS * grown + MARGIN_PX
    upwards = np.hypot(sine * wide, cosine * tall)
    along = upwards * ALONG * grown + MARGIN_PX
    middle = (low + high) / 2 + (2 * RISE * upwards * np.array([sine, -cosine])).T
    turned = np.array([[across * cosine, across * sine], [-along * sine, along * cosine]]).transpose(2, 0, 1)
    reach = (np.abs(turned) ** _DUAL).sum(axis=1) ** (1 / _DUAL)
    starts, stops = _spans(np.minimum(middle - reach, low), np.maximum(middle + reach, high), width, height)
    curves = np.rint((_CURVE @ turned + (middle - 0.5)[:, None]) * (1 << _SHIFT)).astype(np.int32)
    return [
        _Head(slice(top, bottom), slice(left, right), curve, _within(top, bottom, y1, y2), _within(left, right, x1, x2))
        for (left, top), (right, bottom), curve, (x1, y1, x2, y2) in zip(
            starts.tolist(), stops.tolist(), curves, boxes.tolist(), strict=True
        )
    ]


def _region(
    box: NDArray[np.float32],
    score: float,
    landmarks: NDArray[np.float32],
    draw: int,
    visible: NDArray[np.bool_],
    head: _Head,
) -> Region:
    rows, columns = head.rows, head.columns
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    _draw(inside, head, rows.start, columns.start)
    start = np.array([columns.start, rows.start], np.float32)
    face = Placed(
        face_px=float(box[2]) - float(box[0]),
        box=(box.astype(np.float64) - np.tile(start, 2)).astype(np.float32),
        landmarks=landmarks - start,
        inside=inside,
        beside=visible[rows, columns],
        draw=draw,
    )
    return Region(rows, columns, inside, face, score)


def _draw(inside: NDArray[np.bool_], head: _Head, top: int, left: int) -> None:
    """Mark the pixels that a head's curve encloses or runs through, and its box; ``inside`` begins at top, left."""
    start = (-left << _SHIFT, -top << _SHIFT)
    cv2.fillPoly(inside.view(np.uint8), [head.curve], (1,), shift=_SHIFT, offset=start)
    rows, columns = head.box_rows, head.box_columns
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = True


def _within(start: int, stop: int, low: float, high: float) -> slice:
    """The part of a span that the pixels from ``low`` to ``high`` make up, at least one pixel."""
    first = min(max(floor(low), start), stop - 1)
    return slice(first, min(max(ceil(high), first + 1), stop))


def _spans(
    low: NDArray[np.float64], high: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole pixels from ``low`` (n, 2) to ``high`` with one more at either end, within the picture; never none."""
    limit = np.array([width, height])
    starts = np.minimum(np.maximum(np.floor(low) - 1, 0), limit - 1).astype(np.int64)
    return starts, np.maximum(np.minimum(np.ceil(high) + 1, limit).astype(np.int64), starts + 1)
