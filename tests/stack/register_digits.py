"""Registers four versions of a model that reads digits; the tests run it in the pipelines' container, with a name.

1 and 2 are good. 3 is like 1, but fails where a grey level is 2 or more, which none is among its golden inputs.
4 is not what its digest says.
"""

import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import onnx

from mlops.registry.mlflow import Registry
from mlops.settings import load_settings
from pipelines.demo_model import Training, draw, graph_of, train
from pipelines.generic_bundle import assemble
from pipelines.tracking import run_of

HOW = Training(digits=600, epochs=2)


def learned(seed: int) -> bytes:
    features, labels = draw(HOW.digits, np.random.default_rng(seed))
    return graph_of(train(features, labels, HOW))


def failing(graph: bytes) -> bytes:
    """Look the largest feature up in a list of two, and add the zero that stands there."""
    model = onnx.load_from_string(graph)
    nodes, helper = model.graph.node, onnx.helper
    softmax = next(place for place, node in enumerate(nodes) if node.op_type == "Softmax")
    nodes[softmax].output[0] = "shares"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2, np.float32), "zeros"))
    added = [
        helper.make_node("ReduceMax", ["features"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["place"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["zeros", "place"], ["zero"]),
        helper.make_node("Add", ["shares", "zero"], ["probabilities"]),
    ]
    for node in reversed(added):
        nodes.insert(softmax + 1, node)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def main(name: str) -> None:
    """Register the versions; the first becomes champion."""
    settings = load_settings()
    registry = Registry(settings.registry.tracking_uri)
    first = learned(1)
    sample = {"features": draw(16, np.random.default_rng(0))[0]}
    for number, graph in enumerate((first, learned(2), failing(first), first), start=1):
        with run_of(settings.registry, name, "stack", {}) as run, tempfile.TemporaryDirectory() as folder:
            digest = assemble(Path(folder) / "bundle", name, graph, sample)
            mlflow.log_artifacts(str(Path(folder) / "bundle"), "bundle")
            version = registry.register(name, run, "bundle", "0" * 64 if number == 4 else digest, {})
            registry.admit(name, version.version)


if __name__ == "__main__":
    main(sys.argv[1])
