"""How well a detector finds labelled faces, and how much of each face a mask covers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from masking.types import Faces

Floats = NDArray[np.float64]
Boxes = NDArray[Any]

SIZE_BANDS: tuple[tuple[float, float], ...] = ((0, 9), (9, 14), (14, 20), (20, 30), (30, math.inf))


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured share with its 95 % interval.

    Attributes:
        value: in [0, 1]; nan where nothing was there to measure, so that no threshold is met by absence.
        low: lower end of the interval; 0 where nothing was measured.
        high: upper end; 1 where nothing was measured.
        n: trials, in a clustered sample the effective number of them.
    """

    value: float
    low: float
    high: float
    n: float


@dataclass(frozen=True, slots=True)
class BandFigures:
    """Recall of the faces whose shorter side is at least ``low`` and below ``high`` pixels."""

    low: float
    high: float
    recall: Rate


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """What a detector found in a set of labelled images.

    Attributes:
        images: number of images.
        recall: share of labelled faces that were found; ``recall.n`` is their number.
        bands: recall by size of the labelled face.
        complete: share of the images with a labelled face in which every one was found.
        precision: share of the detections that match a labelled face, a lower bound where labels are missing;
            nan without a detection.
        false_positives_per_image: detections without a labelled face, per image; nan without an image.
        average_precision: area under the precision-recall curve, all points; nan without a labelled face.
    """

    images: int
    recall: Rate
    bands: tuple[BandFigures, ...]
    complete: Rate
    precision: float
    false_positives_per_image: float
    average_precision: float


def wilson(successes: float, trials: float, *, confidence: float = 0.95) -> Rate:
    """Share of successes with its score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927): unlike the
    normal interval it stays inside [0, 1] and keeps its width where every trial or none succeeds.
    """
    if trials <= 0:
        return Rate(math.nan, 0.0, 1.0, 0.0)
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(z2 * (share * (1 - share) / trials + z2 / (4 * trials**2))) / (1 + z2 / trials)
    return Rate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)), trials)


def iou_matrix(a: Boxes, b: Boxes) -> Floats:
    """Intersection over union of every box of ``a`` (n, 4) with every box of ``b`` (m, 4): (n, m) in [0, 1].

    Boxes are ``x1, y1, x2, y2``; a box without area shares nothing with any other.
    """
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b))
    corner_low = np.maximum(a[:, None, :2], b[None, :, :2])
    corner_high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(corner_high - corner_low, 0, None), axis=2)
    union = _areas(a)[:, None] + _areas(b)[None, :] - shared
    ratio: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return ratio


def evaluate_detection(
    truth: Sequence[Boxes],
    found: Sequence[Faces],
    *,
    iou: float = 0.4,
    size_bands: Sequence[tuple[float, float]] = SIZE_BANDS,
) -> DetectionFigures:
    """Compare detections with labelled boxes over a set of images.

    Within an image each detection, surest first, takes the free labelled face that it overlaps most, if by at
    least ``iou``; what takes none is a false positive (the matching of the COCO evaluation, Lin et al. 2014).
    Average precision integrates the envelope of the precision over all points (PASCAL VOC 2010); detections of
    equal score count together, so the order of images and boxes changes nothing.

    Args:
        truth: labelled boxes per image, (n, 4) in pixels.
        found: detections per image, in the same order.
        iou: least intersection over union of a match, in (0, 1].
        size_bands: ``low <= shorter side < high`` in pixels.

    Raises:
        ValueError: the two sequences differ in length, or ``iou`` is out of range.
    """
    if len(truth) != len(found):
        raise ValueError(f"{len(truth)} labelled images, but detections for {len(found)}")
    if not 0 < iou <= 1:
        raise ValueError(f"iou must lie in (0, 1], not {iou}")
    boxes = [np.asarray(labels, np.float64).reshape(-1, 4) for labels in truth]
    matches = [_match(labels, faces, iou) for labels, faces in zip(boxes, found, strict=True)]
    hit = np.concatenate([np.empty(0, bool), *(labels_hit for labels_hit, _, _ in matches)])
    scores = np.concatenate([np.empty(0), *(ranked for _, ranked, _ in matches)])
    right = np.concatenate([np.empty(0, bool), *(detections_right for _, _, detections_right in matches)])
    size = np.concatenate([np.empty(0), *(np.min(labels[:, 2:] - labels[:, :2], axis=1) for labels in boxes)])
    complete = [bool(labels_hit.all()) for labels_hit, _, _ in matches if len(labels_hit)]
    return DetectionFigures(
        images=len(boxes),
        recall=wilson(int(hit.sum()), len(hit)),
        bands=tuple(_band(low, high, size, hit) for low, high in size_bands),
        complete=wilson(sum(complete), len(complete)),
        precision=float(right.mean()) if len(right) else math.nan,
        false_positives_per_image=float((~right).sum() / len(boxes)) if boxes else math.nan,
        average_precision=_average_precision(scores, right, len(hit)),
    )


def coverage(boxes: Boxes, mask: NDArray[np.bool_]) -> Floats:
    """Share of each box (n, 4) that lies under ``mask`` (height, width), as (n,) in [0, 1].

    Only the part of a box inside the image counts; a box with nothing inside has nothing to hide and gives 1.
    Pixel (row, column) spans ``[column, column + 1) x [row, row + 1)``, and edges inside a pixel count by area.
    """
    height, width = mask.shape
    limits = np.array([width, height, width, height], np.float64)
    inside = np.clip(np.asarray(boxes, np.float64).reshape(-1, 4), 0, limits)
    table = np.pad(np.cumsum(np.cumsum(mask, axis=0, dtype=np.float64), axis=1), ((1, 0), (1, 0)))
    x1, y1, x2, y2 = inside.T
    under = _lookup(table, x2, y2) - _lookup(table, x1, y2) - _lookup(table, x2, y1) + _lookup(table, x1, y1)
    area = _areas(inside)
    return np.clip(np.divide(under, area, out=np.ones_like(area), where=area > 0), 0, 1)


def _areas(boxes: Floats) -> Floats:
    area: Floats = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return area


def _match(truth: Floats, found: Faces, iou: float) -> tuple[NDArray[np.bool_], Floats, NDArray[np.bool_]]:
    """Which labelled faces are found, and the detections' scores and rightness, surest first."""
    scores = found.scores.astype(np.float64)
    # Equal scores and equal overlaps are settled by place, so that the order of the input settles nothing.
    order = np.lexsort((*found.boxes.T, -scores))
    by_place = np.lexsort(tuple(truth.T))
    overlap = iou_matrix(found.boxes[order], truth[by_place])
    free = np.ones(len(truth), bool)
    right = np.zeros(len(order), bool)
    for rank, row in enumerate(overlap):
        row = np.where(free, row, 0)
        if free.any() and row.max() >= iou:
            free[np.argmax(row)] = False
            right[rank] = True
    hit = np.empty(len(truth), bool)
    hit[by_place] = ~free
    return hit, scores[order], right


def _band(low: float, high: float, size: Floats, hit: NDArray[np.bool_]) -> BandFigures:
    chosen = hit[(size >= low) & (size < high)]
    return BandFigures(low, high, wilson(int(chosen.sum()), len(chosen)))


def _average_precision(scores: Floats, right: NDArray[np.bool_], faces: int) -> float:
    if not faces:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    last_of_score = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    found = np.cumsum(right[order])[last_of_score]
    precision = found / (last_of_score + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(found, prepend=0) / faces * envelope))


def _lookup(table: Floats, x: Floats, y: Floats) -> Floats:
    """Summed-area table between its nodes; bilinear is exact, as every pixel is constant."""
    column = np.minimum(x.astype(np.intp), table.shape[1] - 2)
    row = np.minimum(y.astype(np.intp), table.shape[0] - 2)
    right, down = x - column, y - row
    top = table[row, column] * (1 - right) + table[row, column + 1] * right
    bottom = table[row + 1, column] * (1 - right) + table[row + 1, column + 1] * right
    value: Floats = top * (1 - down) + bottom * down
    return value
