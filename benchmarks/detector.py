"""int8 against fp32, and both against CenterFace as published: what each finds on real photos, and at what cost.

`python -m benchmarks.detector`; all in one run, each in one thread, photo by photo in turn.
"""

import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.real import photos
from masking.evaluation.detection import coverage, evaluate_detection
from masking.face.detectors import DETECTORS, Detector
from masking.face.detectors.centerface import decode, to_input
from masking.face.region import regions
from masking.face.tiles import detect
from masking.onnx import open_session
from masking.types import Faces
from mlops.registry.bundle import current
from mlops.settings import load_settings
from pipelines.import_base import OUTPUTS, read_base

BASE = Path("data/base/centerface.onnx")
THRESHOLD, IOU = 0.2, 0.4


def main() -> None:
    """Print recall, photos with every face found, unmatched boxes and CPU time of each precision, and the ratios."""
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    detectors: dict[str, Detector] = {
        name: DETECTORS[bundle.architecture](open_session(graph)) for name, graph in bundle.graphs.items()
    } | {"published": Published(BASE)}
    found: dict[str, list[Faces]] = {name: [] for name in detectors}
    seconds: dict[str, list[float]] = {name: [] for name in detectors}
    real = photos()
    pictures = [upright(photo.data) for photo in real]
    for picture in (pictures[0], *pictures):
        for name, detector in detectors.items():
            start = time.thread_time()
            found[name].append(detect(picture, detector, THRESHOLD))
            seconds[name].append(time.thread_time() - start)
    truth = [photo.boxes for photo in real]
    print(f"{len(real)} photos, {sum(map(len, truth))} faces, threshold {THRESHOLD}, IoU >= {IOU}, {bundle.version=}")
    for name in detectors:
        figures = evaluate_detection(truth, found[name][1:], iou=IOU)
        print(
            f"{name}: recall {figures.recall.value:.4f} [{figures.recall.low:.3f}, {figures.recall.high:.3f}]"
            f"  photos complete {figures.complete.value:.4f}"
            f"  unmatched boxes {figures.false_positives_per_image:.2f} a photo"
            f"  AP {figures.average_precision:.3f}  CPU {1000 * sum(seconds[name][1:]) / len(real):.1f} ms a photo"
        )
    for name in ("fp32", "published"):
        print(f"int8 / {name}: CPU {sum(seconds['int8'][1:]) / sum(seconds[name][1:]):.3f}")
    shares = np.concatenate([under(*each) for each in zip(truth, found["int8"][1:], pictures, strict=True)])
    print(f"faces whose labelled box lies >= 90 % under the default mask: {float((shares >= 0.9).mean()):.4f}")


class Published:
    """CenterFace as published: float input, weights that may be overridden, so that nothing is folded or fused."""

    def __init__(self, path: Path) -> None:
        model = read_base(path)
        for value in (model.graph.input[0], *model.graph.output):
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dim.dim_param = f"{value.name}_{axis}"
        self._session = open_session(model.SerializeToString())

    def __call__(self, pixels: NDArray[np.uint8], threshold: float) -> Faces:
        """Find faces in (h, w, 3) uint8 RGB."""
        picture = np.ascontiguousarray(to_input(pixels).transpose(0, 3, 1, 2)).astype(np.float32)
        maps = self._session.run(list(OUTPUTS), {"input.1": picture})
        return decode(maps, threshold, pixels.shape[1], pixels.shape[0])


def upright(data: bytes) -> NDArray[np.uint8]:
    """Decode to (h, w, 3) uint8 RGB."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise SystemExit("a photo cannot be decoded")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def under(boxes: NDArray[np.float32], faces: Faces, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the share of each labelled box that the masks of the found faces cover."""
    mask = np.zeros(picture.shape[:2], bool)
    for region in regions(faces, picture.shape[1], picture.shape[0]):
        mask[region.rows, region.columns] |= region.inside
    return np.asarray(coverage(boxes, mask), np.float64)


if __name__ == "__main__":
    main()
