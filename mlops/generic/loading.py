"""From the files of a generic model to one that may be used: signature checked, golden-tested, warm, calibrated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from mlops.generic.cost import Cost, measure
from mlops.generic.signature import SignatureError, read_signature
from mlops.generic.tensors import FREE, Array, BadInput, Tensor, of_onnx
from mlops.registry.bundle import Bundle

ARCHITECTURE: Final = "onnx"
PRECISION: Final = "fp32"
TOLERANCE: Final = 1e-2
"""How far an output may lie from the golden one, relative to the golden one's scale."""


class GenericModelError(Exception):
    """The model cannot be served; the message says why."""


class Node(Protocol):
    """An input or output as onnxruntime describes it."""

    name: str
    type: str
    shape: Sequence[object]


class Session(Protocol):
    """An opened graph; `onnxruntime.InferenceSession` is one."""

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Array]) -> list[Any]:
        """Return the outputs of these names."""

    def get_inputs(self) -> Sequence[Node]:
        """Return what goes in."""

    def get_outputs(self) -> Sequence[Node]:
        """Return what comes out."""


@dataclass(frozen=True, slots=True)
class GenericModel:
    """A model that can be used.

    Attributes:
        name: Name of the registered model.
        version: Its version in the registry.
        precision: Which of its graphs is used.
        bundle: Digest of its files.
        inputs: What it takes.
        outputs: What it gives, in the order in which `run` does.
        cost: What a run costs, and whether requests may share one.
        sample: The golden inputs.
        session: The graph.
    """

    name: str
    version: str
    precision: str
    bundle: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    cost: Cost
    sample: Mapping[str, Array]
    session: Session

    def check(self, inputs: Mapping[str, Array]) -> int:
        """Return how many rows the inputs have, 1 where rows are not free.

        Raises:
            BadInput: An input is missing, unknown, or of another type or shape than the signature says.
        """
        if inputs.keys() != {tensor.name for tensor in self.inputs}:
            raise BadInput(f"the inputs are {', '.join(repr(tensor.name) for tensor in self.inputs)}")
        for tensor in self.inputs:
            tensor.check(inputs[tensor.name])
        sizes = {len(inputs[tensor.name]) for tensor in self.inputs if tensor.free_rows}
        if len(sizes) > 1 and self.cost.batches:
            raise BadInput("all inputs must have the same number of rows")
        return max(sizes, default=1)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Return the outputs for inputs that were checked."""
        return self.session.run(None, inputs)


def load_generic(bundle: Bundle, open_session: Callable[[Path], Session]) -> GenericModel:
    """Open a bundle's graph, hold it against its signature and its golden outputs, warm and time it.

    Args:
        bundle: The verified files.
        open_session: Opens a graph: one thread, no spinning.

    Raises:
        GenericModelError: It cannot be served, and why.
    """
    if bundle.architecture != ARCHITECTURE or bundle.signature is None or PRECISION not in bundle.graphs:
        raise GenericModelError(f"version {bundle.version} is no ONNX model with a signature")
    session = open_session(bundle.graphs[PRECISION])
    try:
        graph = _described(session.get_inputs()), _described(session.get_outputs())
        inputs, outputs = read_signature(bundle.signature, graph)
        golden = _read(bundle.golden)
        sample = {tensor.name: golden[f"input/{tensor.name}"] for tensor in inputs}
        for tensor in inputs:
            tensor.check(sample[tensor.name])
        expected = [golden[f"output/{tensor.name}"] for tensor in outputs]
    except (SignatureError, BadInput, KeyError) as error:
        raise GenericModelError(f"version {bundle.version} of {bundle.name}: {error}") from error

    def run(batch: Mapping[str, Array]) -> list[Array]:
        return session.run(None, batch)

    fault = golden_fault(run(sample), expected, outputs)
    if fault is not None:
        raise GenericModelError(f"version {bundle.version} of {bundle.name}: {fault}")
    cost = measure(run, sample, free=all(tensor.free_rows for tensor in (*inputs, *outputs)))
    return GenericModel(
        bundle.name,
        bundle.version,
        PRECISION,
        bundle.digest,
        tuple(inputs),
        tuple(outputs),
        cost,
        sample,
        session,
    )


def golden_fault(found: Sequence[Array], expected: Sequence[Array], outputs: Sequence[Tensor]) -> str | None:
    """Say what is wrong with the outputs for the golden inputs; None if nothing is."""
    for tensor, mine, golden in zip(outputs, found, expected, strict=True):
        if mine.dtype != golden.dtype or mine.shape != golden.shape or not tensor.takes(mine.shape):
            return f"output {tensor.name!r} is {mine.dtype} {mine.shape}, golden is {golden.dtype} {golden.shape}"
        if mine.dtype.kind != "f":
            # A tie between two classes may fall otherwise on another processor; half of them falling otherwise may not.
            agree = float(np.mean(mine == golden)) if mine.size else 1.0
            if agree < 1 - TOLERANCE:
                return f"output {tensor.name!r} agrees with its golden values in {agree:.3f} of the places"
            continue
        scale = max(1.0, float(np.abs(golden).max(initial=0.0)))
        if not np.allclose(mine, golden, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True):
            return f"output {tensor.name!r} is further off its golden value than {TOLERANCE:g} of its scale"
    return None


def _described(nodes: Sequence[Node]) -> list[Tensor]:
    tensors = []
    for node in nodes:
        datatype = of_onnx(node.type)
        if datatype is None:
            raise SignatureError(f"{node.name!r} has type {node.type!r}, which is not served")
        shape = tuple(size if isinstance(size, int) else FREE for size in node.shape)
        tensors.append(Tensor(node.name, datatype, shape))
    return tensors


def _read(golden: Path) -> dict[str, Array]:
    try:
        with np.load(golden, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise GenericModelError("the golden outputs cannot be read") from error
