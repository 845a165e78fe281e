"""The bundle of a generic ONNX model: its graph, its MLflow signature, and golden outputs that every machine checks."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from masking.onnx import open_session
from mlops.generic.loading import ARCHITECTURE, PRECISION, load_generic
from mlops.generic.tensors import Array
from mlops.registry.bundle import open_bundle, write_manifest

GRAPH: Final = "model.onnx"
GOLDEN: Final = "golden.npz"
SIGNATURE: Final = "signature.json"


def assemble(out: Path, name: str, graph: bytes, sample: Mapping[str, Array]) -> str:
    """Write a bundle, made anew, and load it once as serving will; returns the digest of its manifest.

    The signature is what the graph says of itself: MLflow's tensors with -1 for a dimension of any size.

    Args:
        out: Folder of the bundle.
        name: Name of the model in the registry.
        graph: The ONNX graph.
        sample: Inputs by name, some rows of what the model will see.

    Raises:
        GenericModelError: Serving would refuse it.
        ModelError: The graph cannot be opened.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / GRAPH).write_bytes(graph)
    session = open_session(graph)
    outputs = [node.name for node in session.get_outputs()]
    values = session.run(outputs, dict(sample))
    golden = {f"input/{key}": value for key, value in sample.items()}
    golden |= {f"output/{key}": value for key, value in zip(outputs, values, strict=True)}
    np.savez(out / GOLDEN, allow_pickle=False, **golden)
    arrays = {**sample, **dict(zip(outputs, values, strict=True))}
    signature = ModelSignature(
        *(
            Schema([TensorSpec(arrays[node.name].dtype, _shape(node.shape), node.name) for node in nodes])
            for nodes in (session.get_inputs(), session.get_outputs())
        )
    )
    (out / SIGNATURE).write_text(json.dumps(signature.to_dict()) + "\n", encoding="utf-8")
    digest = write_manifest(out, name, ARCHITECTURE, {PRECISION: GRAPH}, GOLDEN, signature=SIGNATURE)
    load_generic(open_bundle(out, "candidate", digest), open_session)
    return digest


def _shape(told: list[object]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else -1 for size in told)
