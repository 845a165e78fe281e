"""Stage `evaluate`: what the candidate finds, what it costs, and what an attacker still recognises behind each style.

All figures are of the test split, which no stage before has learned from, and all comparisons are made in one run.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import cut_to_face
from masking.evaluation.detection import DetectionFigures, Rate, coverage, evaluate_detection
from masking.evaluation.privacy import PrivacyFigures, StyleFigures, judge
from masking.face.detectors import DETECTORS, Detector
from masking.face.maskers import MASKERS
from masking.face.region import regions
from masking.face.tiles import detect
from masking.onnx import open_session
from masking.pipeline import cover
from masking.types import Faces
from mlops.registry.bundle import Bundle, open_bundle
from mlops.rollout.gate import flatten
from mlops.settings import load_settings
from pipelines.charts import draw_privacy, draw_recall
from pipelines.dataset import Crop, Scene, read_crops, read_manifest, read_scenes
from pipelines.figures import METRICS
from pipelines.params import Evaluate, load_params
from pipelines.provenance import data_version
from pipelines.tracking import same_run

INGESTED = Path("data/ingested")
MODEL = Path("data/model")
PLOTS = Path("reports/plots")
WELL_COVERED = 0.9


def evaluate(
    bundle: Bundle, scenes: Sequence[Scene], crops: Sequence[Crop], params: Evaluate, *, procedural: bool
) -> dict[str, Any]:
    """Measure a bundle on the test split; the figures nest, and every leaf is a number or a truth value.

    Args:
        bundle: What is measured.
        scenes: Pictures for the detector.
        crops: Pictures for the judge of privacy.
        params: Section `evaluate` of params.yaml.
        procedural: Whether the people of the crops do not exist, which the figures then say.
    """
    detectors: dict[str, Detector] = {
        precision: DETECTORS[bundle.architecture](open_session(graph)) for precision, graph in bundle.graphs.items()
    }
    found, milliseconds = _detect(detectors, [scene.pixels for scene in scenes], params.threshold)
    truth = [scene.boxes for scene in scenes]
    detection: dict[str, Any] = {
        precision: _detection(evaluate_detection(truth, faces, iou=params.iou)) for precision, faces in found.items()
    }
    detection["recall_drop"] = detection["fp32"]["recall"] - detection["int8"]["recall"]
    detection["false_boxes_added"] = (
        detection["int8"]["false_boxes_per_image"] - detection["fp32"]["false_boxes_per_image"]
    )
    figures = {
        "detection": detection,
        "speed": {
            "int8_ms": milliseconds["int8"],
            "fp32_ms": milliseconds["fp32"],
            "cpu_ratio": milliseconds["int8"] / milliseconds["fp32"],
        },
        "coverage": _coverage(truth, found["int8"], [scene.pixels for scene in scenes]),
        "privacy": _privacy(crops, detectors["int8"], params) | {"on_procedural_people": procedural},
    }
    return figures


def _detect(
    detectors: Mapping[str, Detector], pictures: Sequence[NDArray[np.uint8]], threshold: float
) -> tuple[dict[str, list[Faces]], dict[str, float]]:
    """Run all detectors over each picture in turn, so that a busy machine slows them alike; median CPU ms a picture."""
    found: dict[str, list[Faces]] = {name: [] for name in detectors}
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    for picture in (pictures[0], *pictures):
        for name, detector in detectors.items():
            start = time.thread_time()
            found[name].append(detect(picture, detector, threshold))
            seconds[name].append(time.thread_time() - start)
    # The first picture was only there to warm up.
    return {name: each[1:] for name, each in found.items()}, {
        name: round(1000 * float(np.median(each[1:])), 2) for name, each in seconds.items()
    }


def _detection(figures: DetectionFigures) -> dict[str, Any]:
    return {
        **_rate("recall", figures.recall),
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


def _rate(name: str, rate: Rate) -> dict[str, float]:
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}


def _coverage(
    truth: Sequence[NDArray[np.float32]], found: Sequence[Faces], pictures: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    shares = []
    for boxes, faces, picture in zip(truth, found, pictures, strict=True):
        mask = np.zeros(picture.shape[:2], bool)
        for region in regions(faces, picture.shape[1], picture.shape[0]):
            mask[region.rows, region.columns] |= region.inside
        shares.append(coverage(boxes, mask))
    share = np.concatenate(shares)
    return {"boxes_well_covered": float((share >= WELL_COVERED).mean()), "mean_share_of_box": float(share.mean())}


def _privacy(crops: Sequence[Crop], detector: Detector, params: Evaluate) -> dict[str, Any]:
    """Judge every style twice: by the face alone, which is what a mask answers for, and with hair and surroundings."""
    known = [crop for crop in crops if crop.identity is not None and np.isfinite(crop.landmarks).all()]
    people = {crop.identity for crop in known}
    if len(people) < params.people:
        return {"valid": False, "people": len(people)}
    identities = [str(crop.identity) for crop in known]
    landmarks = np.stack([crop.landmarks for crop in known])
    faces = [detect(crop.pixels, detector, params.threshold) for crop in known]
    shown: dict[str, list[NDArray[np.uint8]]] = {"unmasked": [crop.pixels for crop in known]}
    for style, masker in MASKERS.items():
        masked = (cover(crop.pixels, found, masker) for crop, found in zip(known, faces, strict=True))
        shown[style] = [np.asarray(each, np.uint8) for each in masked]
    cut = {style: list(cut_to_face(pictures, landmarks)[0]) for style, pictures in shown.items()}
    face = _judge(cut, identities, cut_to_face(shown["unmasked"], landmarks)[1], params)
    context = _judge(shown, identities, landmarks, params)
    return {
        "valid": face.valid and context.valid,
        "people": face.people,
        "enrolled": face.enrolled,
        "chance": face.chance,
        "face": _told(face),
        "with_surroundings": _told(context),
    }


def _judge(
    shown: Mapping[str, Sequence[NDArray[np.uint8]]],
    identities: Sequence[str],
    landmarks: NDArray[np.float32],
    params: Evaluate,
) -> PrivacyFigures:
    masked = {style: pictures for style, pictures in shown.items() if style != "unmasked"}
    return judge(
        shown["unmasked"],
        identities,
        landmarks,
        masked,
        floor=params.judge_floor,
        trials=params.trials,
        seed=params.seed,
    )


def _told(figures: PrivacyFigures) -> dict[str, Any]:
    def style(each: StyleFigures) -> dict[str, float]:
        strongest = each.strongest
        return {
            **_rate("rank1", strongest.rank1),
            "rank5": strongest.rank5,
            "equal_error_rate": strongest.equal_error_rate,
            "times_chance": strongest.rank1.value / figures.chance,
        }

    return {"unmasked": style(figures.unmasked), **{name: style(each) for name, each in figures.styles.items()}}


def write(figures: dict[str, Any], metrics: Path, plots: Path) -> None:
    """Write the figures for `dvc metrics show`, and the charts for `dvc plots show`."""
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    plots.mkdir(parents=True, exist_ok=True)
    draw_recall(figures["detection"], plots / "recall_by_size.svg")
    if "face" in figures["privacy"]:
        draw_privacy(figures["privacy"], plots / "reidentification.svg")


def main() -> None:
    """Evaluate data/model on data/ingested, and add the figures to the MLflow run that train opened."""
    params = load_params()
    bundle = open_bundle(MODEL, "candidate")
    scenes = list(read_scenes(INGESTED, split="test"))
    crops = list(read_crops(INGESTED, split="test"))
    manifest = read_manifest(INGESTED)
    procedural = bool((manifest.loc[manifest["source"] == "crop", "box_source"] == "exact").all())
    figures = evaluate(bundle, scenes, crops, params.evaluate, procedural=procedural)
    write(figures, METRICS, PLOTS)
    with same_run(load_settings().registry):
        mlflow.log_metrics(flatten(figures))
        mlflow.set_tag("evaluated_on", f"{params.ingest.source} {data_version()}")
        mlflow.log_artifacts(str(METRICS.parent), "metrics")
        mlflow.log_artifacts(str(PLOTS), "plots")
    sys.stderr.write(summary(figures))


def summary(figures: dict[str, Any]) -> str:
    """Say in a few lines what the figures are."""
    int8, fp32 = figures["detection"]["int8"], figures["detection"]["fp32"]
    speed, privacy = figures["speed"], figures["privacy"]
    lines = [
        f"evaluate: int8 finds {int8['recall']:.3f} of {int8['faces']:.0f} faces (fp32 {fp32['recall']:.3f}), "
        f"{int8['false_boxes_per_image']:.3f} false boxes an image, at {speed['cpu_ratio']:.2f} of fp32's CPU time",
        f"evaluate: the judge of privacy is {'valid' if privacy['valid'] else 'NOT VALID: its figures prove nothing'}, "
        f"on {'procedural' if privacy['on_procedural_people'] else 'own'} people",
    ]
    lines += [
        f"evaluate: {style}: rank-1 re-identification {each['rank1']:.3f} by the face, "
        f"{privacy['with_surroundings'][style]['rank1']:.3f} with surroundings (chance {privacy['chance']:.3f})"
        for style, each in privacy.get("face", {}).items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
