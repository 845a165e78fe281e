"""The search for faces in real photos at both efforts, against deface 1.5 on the same photos.

`python -m benchmarks.faces`; all in one run and one thread, photo by photo in turn. deface is installed into an
environment of its own under var/benchmarks; what its detection costs is measured here, on the graph that it runs.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.peer import python
from benchmarks.real import photos
from masking.evaluation.detection import coverage, evaluate_detection, iou_matrix
from masking.face.detectors import DETECTORS, Detector
from masking.face.detectors.centerface import decode, to_input
from masking.face.region import regions
from masking.face.search import EFFORTS, search
from masking.onnx import open_session
from masking.types import Faces
from mlops.registry.bundle import current
from mlops.settings import load_settings
from pipelines.import_base import OUTPUTS, read_base

BASE = Path("data/base/centerface.onnx")
THRESHOLD, IOU = 0.2, 0.4
CURVE = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
TURNED_EVERY = 4
PEER_SCRIPT = """
import sys, json, imageio.v2 as iio
from deface.centerface import CenterFace
detector = CenterFace(in_shape=None, backend="onnxrt")
for file in sys.stdin.read().split():
    dets, points = detector(iio.imread(file)[..., :3], threshold=0.2)
    print("FACES", json.dumps([[float(value) for value in row] for row in dets]))
"""

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Way = Callable[[Pixels], Faces]


def main() -> None:
    """Print what each graph and effort finds, what deface finds, and at what cost in CPU time."""
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.model)
    if bundle is None:
        raise SystemExit("no model is installed: run `make run` first")
    cv2.setNumThreads(1)
    graphs: dict[str, Detector] = {
        name: DETECTORS[bundle.architecture](open_session(graph)) for name, graph in bundle.graphs.items()
    } | {"published": Published(BASE)}
    real = photos()
    truth = [photo.boxes for photo in real]
    pictures = [upright(photo.data) for photo in real]
    print(f"{len(real)} photos, {sum(map(len, truth))} faces, threshold {THRESHOLD}, IoU >= {IOU}, {bundle.version=}")
    plain: dict[str, Way] = {f"{name} graph": once(graph) for name, graph in graphs.items()}
    efforts: dict[str, Way] = {effort: searching(graphs["int8"], effort) for effort in EFFORTS}
    found, seconds = measure(pictures, plain | efforts)
    theirs = peer(pictures)
    base = unmatched(truth, theirs)
    for name, faces in (("deface", theirs), *found.items()):
        sure = [each[each.scores >= THRESHOLD] for each in faces]
        print(f"{name}: {figures(truth, sure, base)}  {masked(truth, sure, pictures)}")
    for name in efforts:
        for threshold in CURVE:
            print(f"{name} @{threshold}: {figures(truth, [f[f.scores >= threshold] for f in found[name]], base)}")
    for name, cost in seconds.items():
        print(
            f"{name}: CPU {1000 * cost / len(real):.1f} ms a photo, of the published graph {ratio(seconds, name):.3f}"
        )
    turned(pictures, truth, {"int8 graph": plain["int8 graph"]} | efforts)


def once(detector: Detector) -> Way:
    """One look at full size, down to the lowest threshold of the curve."""
    return lambda picture: detector(picture, min(CURVE))


def searching(detector: Detector, effort: str) -> Way:
    """Our search, down to the lowest threshold of the curve: a lower threshold only adds faces."""
    return lambda picture: search(picture, detector, min(CURVE), effort)


def measure(pictures: Sequence[Pixels], ways: dict[str, Way]) -> tuple[dict[str, list[Faces]], dict[str, float]]:
    """Give what each way finds in each picture, and its CPU seconds; the first picture is seen once more before."""
    found: dict[str, list[Faces]] = {name: [] for name in ways}
    seconds = dict.fromkeys(ways, 0.0)
    for way in ways.values():
        way(pictures[0])
    for picture in pictures:
        for name, way in ways.items():
            start = time.thread_time()
            found[name].append(way(picture))
            seconds[name] += time.thread_time() - start
    return found, seconds


def ratio(seconds: dict[str, float], name: str) -> float:
    """CPU time of a way relative to the graph as published, at full size."""
    return seconds[name] / seconds["published graph"]


def figures(truth: Sequence[Boxes], found: Sequence[Faces], base: float) -> str:
    """Recall with its 95 % interval, photos complete, and unmatched boxes, also relative to deface's number."""
    measured = evaluate_detection(truth, found, iou=IOU)
    wrong = unmatched(truth, found)
    return (
        f"recall {measured.recall.value:.4f} [{measured.recall.low:.3f}, {measured.recall.high:.3f}]"
        f"  photos complete {measured.complete.value:.4f}  unmatched {wrong:.0f} ({wrong / base:.2f} of deface's)"
        f"  AP {measured.average_precision:.3f}"
    )


def unmatched(truth: Sequence[Boxes], found: Sequence[Faces]) -> float:
    """Number of boxes that match no labelled face."""
    return evaluate_detection(truth, found, iou=IOU).false_positives_per_image * len(found)


def masked(truth: Sequence[Boxes], found: Sequence[Faces], pictures: Sequence[Pixels]) -> str:
    """Share of the labelled boxes that lie at least 90 % under the default mask of the found faces."""
    shares = np.concatenate([under(*each) for each in zip(truth, found, pictures, strict=True)])
    return f"boxes >= 90 % under the default mask {float((shares >= 0.9).mean()):.4f}"


def under(boxes: Boxes, faces: Faces, picture: Pixels) -> NDArray[np.float64]:
    """Give the share of each labelled box that the masks of the found faces cover."""
    mask = np.zeros(picture.shape[:2], bool)
    for region in regions(faces, picture.shape[1], picture.shape[0]):
        mask[region.rows, region.columns] |= region.inside
    return np.asarray(coverage(boxes, mask), np.float64)


def turned(pictures: Sequence[Pixels], truth: Sequence[Boxes], ways: dict[str, Way]) -> None:
    """Print the recall on every `TURNED_EVERY`th photo turned by quarter turns, each way at `THRESHOLD`."""
    chosen = list(zip(pictures, truth, strict=True))[::TURNED_EVERY]
    for quarters in (1, 2, 3):
        for name, way in ways.items():
            hits = [
                recalled(turn(boxes, quarters, picture), way(np.ascontiguousarray(np.rot90(picture, quarters))))
                for picture, boxes in chosen
            ]
            share = float(np.concatenate(hits).mean())
            print(f"{name}: recall {share:.4f} on {len(chosen)} photos turned by {90 * quarters} degrees")


def recalled(boxes: Boxes, faces: Faces) -> NDArray[np.bool_]:
    """Tell which labelled faces some found face at `THRESHOLD` overlaps by `IOU`."""
    overlap = iou_matrix(boxes, faces.boxes[faces.scores >= THRESHOLD])
    return np.asarray(overlap.max(axis=1, initial=0) >= IOU, bool)


def turn(boxes: Boxes, quarters: int, picture: Pixels) -> Boxes:
    """Turn boxes with a picture by quarter turns counter-clockwise."""
    wide, tall = picture.shape[1], picture.shape[0]
    for _ in range(quarters):
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([y1, wide - x2, y2, wide - x1], axis=1)
        wide, tall = tall, wide
    return boxes


class Published:
    """CenterFace as published: float input, weights that may be overridden, so that nothing is folded or fused."""

    def __init__(self, path: Path) -> None:
        model = read_base(path)
        for value in (model.graph.input[0], *model.graph.output):
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dim.dim_param = f"{value.name}_{axis}"
        self._session = open_session(model.SerializeToString())

    def __call__(self, pixels: Pixels, threshold: float) -> Faces:
        """Find faces in (h, w, 3) uint8 RGB."""
        picture = np.ascontiguousarray(to_input(pixels).transpose(0, 3, 1, 2)).astype(np.float32)
        maps = self._session.run(list(OUTPUTS), {"input.1": picture})
        return decode(maps, threshold, pixels.shape[1], pixels.shape[0])


def upright(data: bytes) -> Pixels:
    """Decode to (h, w, 3) uint8 RGB."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise SystemExit("a photo cannot be decoded")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def peer(pictures: Sequence[Pixels]) -> list[Faces]:
    """Give what deface's own detector finds at its default threshold."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.png" for index in range(len(pictures))]
        for file, picture in zip(files, pictures, strict=True):
            cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        listed = "\n".join(map(str, files))
        done = subprocess.run([python(), "-c", PEER_SCRIPT], input=listed, text=True, capture_output=True, check=True)
    lines = [line.removeprefix("FACES") for line in done.stdout.splitlines() if line.startswith("FACES")]
    return [_faces(np.array(json.loads(line), np.float32).reshape(-1, 5)) for line in lines]


def _faces(rows: NDArray[np.float32]) -> Faces:
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return Faces(rows[:, :4], rows[:, 4], np.zeros((len(rows), 5, 2), np.float32))


if __name__ == "__main__":
    main()
