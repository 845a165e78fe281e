"""What a candidate finds: on the mean, by size and slice, at either effort, beside the base on the same pictures."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.detection import DetectionFigures, Rate, coverage, evaluate_detection
from masking.evaluation.slices import SLICES, Labelled
from masking.face.detectors import Detector
from masking.face.region import regions
from masking.face.search import search
from masking.types import Faces
from pipelines.dataset import Scene
from pipelines.params import Evaluate

WELL_COVERED = 0.9
DEFAULT, QUICK = "thorough", "fast"

Image = NDArray[np.uint8]
Seek = Callable[[Image], Faces]


def measure_detection(detectors: Mapping[str, Detector], scenes: Sequence[Scene], params: Evaluate) -> dict[str, Any]:
    """Measure recall, false boxes, coverage and CPU time; `int8` and `fp32` search as serving does by default.

    Args:
        detectors: The candidate ``int8`` and the base ``fp32``.
        scenes: Labelled pictures.
        params: Section `evaluate` of params.yaml.
    """
    seeks: dict[str, Seek] = {
        name: _seek(detector, params.threshold, DEFAULT) for name, detector in detectors.items()
    } | {"int8_fast": _seek(detectors["int8"], params.threshold, QUICK)}
    pictures, truth = [scene.pixels for scene in scenes], [scene.boxes for scene in scenes]
    found, milliseconds = _timed(seeks, pictures)
    detection: dict[str, Any] = {
        name: told(evaluate_detection(truth, faces, iou=params.iou)) for name, faces in found.items()
    }
    int8, fp32 = detection["int8"], detection["fp32"]
    detection["recall_drop"] = fp32["recall"] - int8["recall"]
    detection["false_boxes_added"] = int8["false_boxes_per_image"] - fp32["false_boxes_per_image"]
    speed = {f"{name}_ms": value for name, value in milliseconds.items()}
    speed["cpu_ratio"] = milliseconds["int8"] / milliseconds["fp32"]
    speed["fast_ratio"] = milliseconds["int8_fast"] / milliseconds["int8"]
    return {"detection": detection, "speed": speed, "coverage": _coverage(truth, found["int8"], pictures)}


def measure_slices(
    detectors: Mapping[str, Detector], scenes: Sequence[Scene], params: Evaluate, pool: Executor
) -> dict[str, dict[str, float]]:
    """Measure candidate and base in each slice of `SLICES`: recall, the candidate's drop, and the number of faces.

    A slice without a face has no figures; one of fewer than ``params.slice_faces`` faces has no drop.
    """
    chosen = [scene for scene in scenes if len(scene.boxes)][: params.slice_scenes]
    views = {
        name: [
            retake(Labelled(scene.pixels, scene.boxes, scene.landmarks), np.random.default_rng([params.seed, index]))
            for index, scene in enumerate(chosen)
        ]
        for name, retake in SLICES.items()
    }
    figures = {}
    for name, view in views.items():
        truth = [each.boxes for each in view]
        if not sum(map(len, truth)):
            continue
        recall = {}
        for precision, detector in detectors.items():
            found = list(pool.map(_seek(detector, params.threshold, DEFAULT), [each.pixels for each in view]))
            recall[precision] = evaluate_detection(truth, found, iou=params.iou).recall
        figures[name] = compared(recall["int8"], recall["fp32"], params.slice_faces)
    return figures


def size_slices(detection: Mapping[str, Any], least: int) -> dict[str, dict[str, float]]:
    """Give the size bands of `measure_detection` as slices."""
    bands: Mapping[str, Mapping[str, float]] = detection["fp32"]["by_size"]
    return {
        f"size_{name}": _slice(detection["int8"]["by_size"][name]["recall"], base["recall"], base["faces"], least)
        for name, base in bands.items()
    }


def compared(candidate: Rate, base: Rate, least: int) -> dict[str, float]:
    """Give a slice's figures; the drop is left out where fewer than ``least`` faces stand behind it."""
    return _slice(candidate.value, base.value, base.n, least)


def _slice(candidate: float, base: float, faces: float, least: int) -> dict[str, float]:
    figures = {"recall": candidate, "fp32_recall": base, "faces": faces}
    return figures | ({"recall_drop": base - candidate} if faces >= least and isfinite(base) else {})


def _seek(detector: Detector, threshold: float, effort: str) -> Seek:
    return lambda picture: search(picture, detector, threshold, effort)


def _timed(seeks: Mapping[str, Seek], pictures: Sequence[Image]) -> tuple[dict[str, list[Faces]], dict[str, float]]:
    """Run all over each picture in turn, so that a busy machine slows them alike; median CPU ms a picture."""
    found: dict[str, list[Faces]] = {name: [] for name in seeks}
    seconds: dict[str, list[float]] = {name: [] for name in seeks}
    for picture in (pictures[0], *pictures):
        for name, seek in seeks.items():
            start = time.thread_time()
            found[name].append(seek(picture))
            seconds[name].append(time.thread_time() - start)
    # The first picture was only there to warm up.
    return {name: each[1:] for name, each in found.items()}, {
        name: round(1000 * float(np.median(each[1:])), 2) for name, each in seconds.items()
    }


def told(figures: DetectionFigures) -> dict[str, Any]:
    """Give the figures of one detector as numbers with names."""
    return {
        **rate("recall", figures.recall),
        "photos_complete": figures.complete.value,
        "precision": figures.precision,
        "false_boxes_per_image": figures.false_positives_per_image,
        "average_precision": figures.average_precision,
        "faces": figures.recall.n,
        "by_size": {
            f"{band.low:g}-{band.high:g}px": {"recall": band.recall.value, "faces": band.recall.n}
            for band in figures.bands
            if band.recall.n
        },
    }


def rate(name: str, measured: Rate) -> dict[str, float]:
    """Give a rate and the ends of its interval."""
    return {name: measured.value, f"{name}_low": measured.low, f"{name}_high": measured.high}


def _coverage(
    truth: Sequence[NDArray[np.float32]], found: Sequence[Faces], pictures: Sequence[Image]
) -> dict[str, float]:
    shares = []
    for boxes, faces, picture in zip(truth, found, pictures, strict=True):
        mask = np.zeros(picture.shape[:2], bool)
        for region in regions(faces, picture.shape[1], picture.shape[0]):
            mask[region.rows, region.columns] |= region.inside
        shares.append(coverage(boxes, mask))
    share = np.concatenate(shares)
    return {"boxes_well_covered": float((share >= WELL_COVERED).mean()), "mean_share_of_box": float(share.mean())}
