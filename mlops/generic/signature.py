"""The MLflow signature of a model, held against its graph.

The format is that of ``mlflow.models.ModelSignature.to_dict``: ``inputs`` and ``outputs``, each a list (or that list as
JSON text) of tensors ``{"type": "tensor", "name", "tensor-spec": {"dtype", "shape"}}``, or of columns
``{"type": "double", "name"}``, which are the columns of the one matrix that the graph takes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mlops.generic.tensors import FREE, Tensor, of_dtype

COLUMNS: Final = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
}
"""MLflow's types of columns."""


class SignatureError(Exception):
    """The signature cannot be read, or is not that of the graph."""


def read_signature(file: Path, graph: tuple[Sequence[Tensor], Sequence[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """Return inputs and outputs as the signature has them, in the order of the graph.

    Args:
        file: The signature as JSON.
        graph: Inputs and outputs of the graph.

    Raises:
        SignatureError: The file cannot be read, or graph and signature disagree on a name, a type or a shape.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        inputs, outputs = _listed(told["inputs"]), _listed(told.get("outputs"))
        of_graph = graph
        return _matched(inputs, of_graph[0], "input"), _matched(outputs, of_graph[1], "output", optional=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SignatureError(f"the signature cannot be read: {error!r}") from error


def _listed(told: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401  # JSON
    if told is None:
        return []
    read: list[Mapping[str, Any]] = json.loads(told) if isinstance(told, str) else told
    return list(read)


def _matched(
    told: Sequence[Mapping[str, Any]], graph: Sequence[Tensor], what: str, *, optional: bool = False
) -> list[Tensor]:
    if not told and optional:
        return list(graph)
    if told and "tensor-spec" not in told[0]:
        return [_columns(told, graph, what)]
    by_name = {each.get("name", graph[0].name if len(graph) == 1 else ""): each["tensor-spec"] for each in told}
    if by_name.keys() != {tensor.name for tensor in graph}:
        raise SignatureError(f"the signature has {what}s {sorted(by_name)}, the graph {[each.name for each in graph]}")
    return [_joined(_tensor(tensor.name, by_name[tensor.name], what), tensor, what) for tensor in graph]


def _tensor(name: str, spec: Mapping[str, Any], what: str) -> Tensor:
    datatype = of_dtype(spec["dtype"])
    if datatype is None:
        raise SignatureError(f"{what} {name!r} has type {spec['dtype']!r}, which is not served")
    return Tensor(name, datatype, tuple(int(size) for size in spec["shape"]))


def _columns(told: Sequence[Mapping[str, Any]], graph: Sequence[Tensor], what: str) -> Tensor:
    kinds = {each["type"] for each in told}
    if len(graph) != 1 or len(kinds) != 1 or not kinds <= COLUMNS.keys():
        raise SignatureError(f"columns of one type on a graph with one {what} are served, other columns are not")
    # MLflow knows columns of Python floats as doubles; the graph says what it computes with.
    return _joined(Tensor(graph[0].name, graph[0].datatype, (FREE, len(told))), graph[0], what)


def _joined(told: Tensor, graph: Tensor, what: str) -> Tensor:
    """Return the narrower of what the signature and the graph say."""
    if told.datatype != graph.datatype:
        raise SignatureError(f"{what} {told.name!r} is {told.datatype} in the signature, {graph.datatype} in the graph")
    pairs = list(zip(told.shape, graph.shape, strict=False))
    if len(told.shape) != len(graph.shape) or any(FREE not in pair and pair[0] != pair[1] for pair in pairs):
        raise SignatureError(f"{what} {told.name!r} is {told.shape} in the signature, {graph.shape} in the graph")
    return Tensor(told.name, told.datatype, tuple(max(pair) for pair in pairs))
