from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mlops.registry.bundle import Bundle, open_bundle, write_manifest

REAL = onnx.TensorProto.FLOAT
SAMPLE = np.random.default_rng(5).random((6, 4), np.float32)


def graph_of(nodes: list[Any], rows: object = "n") -> bytes:
    """A graph from ``x`` (rows, 4) to ``y`` (rows, 4)."""
    values = [onnx.helper.make_tensor_value_info(name, REAL, [rows, 4]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "test", [values[0]], [values[1]])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Bundle]:
    """Write a bundle of a graph with a signature and golden arrays: ``write(graph, signature, golden)``."""

    def make(graph: bytes, signature: str, golden: Mapping[str, Any], architecture: str = "onnx") -> Bundle:
        (tmp_path / "model.onnx").write_bytes(graph)
        (tmp_path / "signature.json").write_text(signature)
        np.savez(tmp_path / "golden.npz", **golden)
        write_manifest(tmp_path, "m", architecture, {"fp32": "model.onnx"}, "golden.npz", signature="signature.json")
        return open_bundle(tmp_path, "1")

    return make


@pytest.fixture
def graph() -> Callable[..., bytes]:
    return graph_of


@pytest.fixture
def sample() -> Any:
    return SAMPLE
