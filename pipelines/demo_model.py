"""Train and register a small tabular model for `/predict` to serve: `python -m pipelines.demo_model`.

It reads a digit off 64 numbers, the grey levels of 8x8 pixels as in the UCI set of handwritten digits. The digits are
drawn by this module, seeded, in several fonts, sizes, slants and places, with noise; a tenth is held out.
"""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import mlflow
import numpy as np
import onnx
from numpy.typing import NDArray

from mlops.registry.mlflow import Registry, Version
from mlops.settings import Settings, load_settings
from pipelines.generic_bundle import assemble
from pipelines.provenance import git_commit
from pipelines.tracking import run_of

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
SIDE: Final = 8
CLASSES: Final = 10
HIDDEN: Final = (256, 256)
CANVAS: Final = 32
FONTS: Final = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
)
LEAST_ACCURACY: Final = 0.9
"""Share of the held-out digits that must be read rightly; below it nothing is registered."""


class NotGoodEnough(Exception):
    """The model reads too few of the held-out digits rightly."""


@dataclass(frozen=True, slots=True)
class Training:
    """How long is learned from how much."""

    digits: int = 6000
    epochs: int = 12
    batch: int = 64
    rate: float = 1e-3
    seed: int = 7


def draw(count: int, rng: np.random.Generator) -> tuple[Floats, Labels]:
    """Draw digits; returns grey levels (count, 64) in [0, 1] and what they show (count,)."""
    labels = rng.integers(0, CLASSES, count)
    features = np.empty((count, SIDE * SIDE), np.float32)
    for place, label in enumerate(labels):
        canvas = np.zeros((CANVAS, CANVAS), np.uint8)
        font, size = FONTS[rng.integers(len(FONTS))], rng.uniform(0.9, 1.15)
        where = int(rng.integers(3, 9)), int(rng.integers(25, 30))
        cv2.putText(canvas, str(label), where, font, float(size), 255, int(rng.integers(2, 4)), cv2.LINE_AA)
        turn = cv2.getRotationMatrix2D((CANVAS / 2, CANVAS / 2), float(rng.uniform(-12, 12)), 1.0)
        small = cv2.resize(cv2.warpAffine(canvas, turn, (CANVAS, CANVAS)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        noisy = small.reshape(-1) / 255 + rng.normal(0, 0.06, SIDE * SIDE)
        features[place] = np.clip(noisy, 0, 1)
    return features, labels.astype(np.int64)


def train(features: Floats, labels: Labels, how: Training) -> list[tuple[Floats, Floats]]:
    """Return weights and biases of each layer, learned by Adam (Kingma & Ba 2015) on the cross entropy."""
    rng = np.random.default_rng(how.seed)
    sizes = (features.shape[1], *HIDDEN, CLASSES)
    layers = [
        (rng.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out)).astype(np.float32), np.zeros(fan_out, np.float32))
        for fan_in, fan_out in pairwise(sizes)
    ]
    moments = [[np.zeros_like(each) for each in layer for _ in range(2)] for layer in layers]
    step = 0
    for _ in range(how.epochs):
        for chosen in _batches(len(features), how.batch, rng):
            step += 1
            gradients = _gradients(layers, features[chosen], labels[chosen])
            for layer, gradient, moment in zip(layers, gradients, moments, strict=True):
                _adam(layer, gradient, moment, step, how.rate)
    return layers


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = rng.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))


def _gradients(layers: list[tuple[Floats, Floats]], features: Floats, labels: Labels) -> list[tuple[Floats, Floats]]:
    values = [features]
    for weights, bias in layers[:-1]:
        values.append(np.maximum(values[-1] @ weights + bias, 0))
    scores = values[-1] @ layers[-1][0] + layers[-1][1]
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    slope = shares / len(labels)
    found: list[tuple[Floats, Floats]] = []
    for (weights, _), value in zip(reversed(layers), reversed(values), strict=True):
        found.append((value.T @ slope, slope.sum(axis=0)))
        slope = (slope @ weights.T) * (value > 0)
    return found[::-1]


def _adam(
    layer: tuple[Floats, Floats], gradient: tuple[Floats, Floats], moment: list[Floats], step: int, rate: float
) -> None:
    for place, (values, slope) in enumerate(zip(layer, gradient, strict=True)):
        mean, square = moment[2 * place], moment[2 * place + 1]
        mean += 0.1 * (slope - mean)
        square += 0.001 * (slope**2 - square)
        values -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)


def graph_of(layers: list[tuple[Floats, Floats]]) -> bytes:
    """Return the ONNX graph: ``features`` (n, 64) to ``predictions`` (n,) and ``probabilities`` (n, 10)."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    nodes, weights, last = [], [], "features"
    for place, (matrix, bias) in enumerate(layers):
        weights += [numpy_helper.from_array(matrix, f"w{place}"), numpy_helper.from_array(bias, f"b{place}")]
        nodes.append(helper.make_node("Gemm", [last, f"w{place}", f"b{place}"], [f"z{place}"]))
        last = f"z{place}"
        if place < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"a{place}"]))
            last = f"a{place}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", [last], ["predictions"], axis=1, keepdims=0))
    real, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    inputs = [helper.make_tensor_value_info("features", real, ["n", layers[0][0].shape[0]])]
    outputs = [
        helper.make_tensor_value_info("predictions", whole, ["n"]),
        helper.make_tensor_value_info("probabilities", real, ["n", CLASSES]),
    ]
    graph = helper.make_graph(nodes, "digits", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def build(folder: Path, name: str, how: Training) -> tuple[str, float]:
    """Train, test and write the bundle; returns the digest of its manifest and the held-out accuracy."""
    features, labels = draw(how.digits, np.random.default_rng(how.seed))
    split = len(features) * 9 // 10
    layers = train(features[:split], labels[:split], how)
    values = features[split:]
    for weights, bias in layers[:-1]:
        values = np.maximum(values @ weights + bias, 0)
    found = (values @ layers[-1][0] + layers[-1][1]).argmax(axis=1)
    digest = assemble(folder, name, graph_of(layers), {"features": features[split : split + 16]})
    return digest, float((found == labels[split:]).mean())


def register(settings: Settings, name: str, how: Training) -> tuple[Version, float]:
    """Build, log and register the model, as champion if it is the first; returns the version and its accuracy.

    Raises:
        NotGoodEnough: It is less accurate than `LEAST_ACCURACY`; nothing was registered.
    """
    registry = Registry(settings.registry.tracking_uri)
    tags: Mapping[str, str] = {"git_commit": git_commit()}
    with run_of(settings.registry, name, "demo", tags) as run_id, tempfile.TemporaryDirectory() as folder:
        digest, accuracy = build(Path(folder) / "bundle", name, how)
        mlflow.log_params({"digits": how.digits, "epochs": how.epochs, "seed": how.seed})
        mlflow.log_metric("accuracy", accuracy)
        if accuracy < LEAST_ACCURACY:
            raise NotGoodEnough(f"it reads {accuracy:.3f} of the held-out digits, {LEAST_ACCURACY} are asked for")
        mlflow.log_artifacts(str(Path(folder) / "bundle"), "bundle")
        version = registry.register(name, run_id, "bundle", digest, {**tags, "accuracy": f"{accuracy:.4f}"})
        return registry.admit(name, version.version), accuracy


def main() -> int:
    """Train and register the model under the name of the endpoint that `/predict` uses."""
    settings = load_settings()
    try:
        version, accuracy = register(settings, settings.serving.default_endpoint, Training())
    except NotGoodEnough as error:
        sys.stderr.write(f"demo-model: nothing was registered: {error}\n")
        return 1
    sys.stderr.write(
        f"demo-model: {version.name} version {version.version} is {version.standing} (accuracy {accuracy:.3f})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
