"""Stage `evaluate`: what the candidate finds, what it costs, and what an attacker still recognises behind each style.

All figures are of the test split, which no stage before has learned from, and all comparisons are made in one run.
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow

from masking.face.detectors import DETECTORS, Detector
from masking.face.maskers import FIGURATIVE, maskers_with
from masking.onnx import open_session
from mlops.registry.bundle import Bundle, open_bundle
from mlops.rollout.gate import flatten
from mlops.settings import load_settings
from pipelines.charts import draw_attackers, draw_privacy, draw_recall, draw_slices
from pipelines.dataset import Crop, Scene, read_crops, read_manifest, read_scenes
from pipelines.figures import METRICS
from pipelines.measure_detection import measure_detection, measure_slices, size_slices
from pipelines.measure_leak import measure_leak
from pipelines.measure_privacy import measure_privacy
from pipelines.params import Evaluate, load_params
from pipelines.provenance import data_version
from pipelines.tracking import same_run

INGESTED = Path("data/ingested")
MODEL = Path("data/model")
PLOTS = Path("reports/plots")
WORKERS = 2


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
    # What is timed runs alone.
    figures = measure_detection(detectors, scenes, params)
    with ThreadPoolExecutor(WORKERS) as work, ThreadPoolExecutor(WORKERS) as pool:
        masked = work.submit(measure_privacy, crops, detectors["int8"], params, maskers_with(bundle.averages))
        leaked = work.submit(measure_leak, detectors["int8"], params)
        slices = measure_slices(detectors, scenes, params, pool)
        figures["detection"]["slices"] = slices | size_slices(figures["detection"], params.slice_faces)
        figures |= masked.result()
        figures["leak"] = leaked.result()
    figures["privacy"]["on_procedural_people"] = procedural
    return figures


def write(figures: dict[str, Any], metrics: Path, plots: Path) -> None:
    """Write the figures for `dvc metrics show`, and the charts for `dvc plots show`."""
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    plots.mkdir(parents=True, exist_ok=True)
    draw_recall(figures["detection"], plots / "recall_by_size.svg")
    draw_slices(figures["detection"]["slices"], plots / "recall_by_slice.svg")
    if "face" in figures["privacy"]:
        draw_privacy(figures["privacy"], plots / "reidentification.svg")
        draw_attackers(figures["privacy"], plots / "attackers.svg")


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
    lines += [f"evaluate: {_leak(figures['leak'])}", f"evaluate: {_slices(figures['detection']['slices'])}"]
    lines += [
        f"evaluate: {style}: rank-1 re-identification {each['rank1']:.3f} by the face, "
        f"{privacy['with_surroundings'][style]['rank1']:.3f} with surroundings (chance {privacy['chance']:.3f})"
        for style, each in privacy.get("face", {}).items()
    ]
    lines += [
        f"evaluate: {style}: a face is still found in {each['face_found']:.3f}"
        for style, each in figures["utility"].items()
        if style in FIGURATIVE
    ]
    return "\n".join(lines) + "\n"


def _leak(leak: dict[str, float]) -> str:
    return f"{leak['open']:.0f} of {leak['face_frames']:.0f} face-frames of the clips are open"


def _slices(slices: dict[str, dict[str, float]]) -> str:
    drops = {name: each["recall_drop"] for name, each in slices.items() if "recall_drop" in each}
    if not drops:
        return "no slice has faces enough to be compared"
    worst = max(drops, key=lambda name: drops[name])
    return f"the slice that lost most against fp32 is {worst}, by {drops[worst]:.3f} of recall"


if __name__ == "__main__":
    main()
