"""From the files of a model to a detector that may be used: golden-tested, benchmarked, warm."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from masking.errors import ModelError
from masking.face.detectors import DETECTORS, Detector
from masking.face.detectors.centerface import Session
from masking.face.maskers import MASKERS, Masker, maskers_with
from masking.onnx import open_session

PICTURE = "picture"
TOLERANCE = {"heat": 0.05, "scale": 0.25, "offset": 0.15, "landmarks": 0.15}
"""How far an output may lie from the golden one: kernels of other processors round otherwise, saturating ones fail."""
FACE = 0.2
ROUNDS = 5

Array = NDArray[Any]


class ModelFiles(Protocol):
    """A version of a model on this machine, its files verified by whoever hands it over."""

    @property
    def name(self) -> str:
        """Name of the registered model."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def architecture(self) -> str:
        """A name in `DETECTORS`."""

    @property
    def graphs(self) -> Mapping[str, Path]:
        """ONNX files by precision."""

    @property
    def golden(self) -> Path:
        """NumPy archive with a picture and what each graph says of it."""

    @property
    def averages(self) -> Path | None:
        """File of averages of people for the style of this name, if there is one."""

    @property
    def digest(self) -> str:
        """Digest over all files."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can be used.

    Attributes:
        name: Name of the registered model.
        version: Its version in the registry.
        precision: Which of its graphs is used, ``int8`` or ``fp32``: the faster one here that passes its golden test.
        detector: Finds faces with it.
        bundle: Digest of its files.
        refused: What was wrong with the graphs that did not pass, by precision.
        maskers: The styles that can be had with it, by name.
    """

    name: str
    version: str
    precision: str
    detector: Detector
    bundle: str
    refused: Mapping[str, str] = field(default_factory=dict)
    maskers: Mapping[str, Masker] = field(default_factory=lambda: MASKERS)


def load_model(files: ModelFiles, threads: int = 1) -> LoadedModel:
    """Open, golden-test, warm and time each graph of a model, and take the fastest that passes.

    Args:
        files: The verified files.
        threads: Threads within one inference.

    Raises:
        ModelError: No graph gives its golden outputs on this machine, or the averages of people cannot be used.
    """
    if files.architecture not in DETECTORS:
        raise ModelError(f"architecture {files.architecture!r} is unknown here")
    golden = _read_golden(files)
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    sessions = {}
    for precision, file in files.graphs.items():
        session = open_session(file, threads)
        try:
            fault = golden_fault(session.run(None, {PICTURE: golden[PICTURE]}), golden, precision)
        except KeyError as error:
            raise ModelError(f"version {files.version} lacks the golden value {error}") from error
        if fault:
            refused[precision] = fault
            continue
        seconds[precision] = _fastest(session, golden[PICTURE], threads)
        sessions[precision] = session
    if not seconds:
        raise ModelError(f"no graph of version {files.version} gives its golden outputs on this machine")
    best = min(seconds, key=lambda precision: seconds[precision])
    detector = DETECTORS[files.architecture](sessions[best])
    maskers = maskers_with(files.averages)
    return LoadedModel(files.name, files.version, best, detector, files.digest, refused, maskers)


def golden_fault(outputs: Sequence[Array], golden: Mapping[str, Array], precision: str) -> str | None:
    """Say what is wrong with the outputs of the golden picture; None if nothing is.

    Where no face is, scale, offset and landmarks mean nothing, so they are compared at the golden centres of faces.
    """
    centres = golden[f"{precision}/heat"][0, 0] >= FACE
    if not centres.any():
        return "the golden picture shows no face"
    for found, (name, tolerance) in zip(outputs, TOLERANCE.items(), strict=True):
        expected = golden[f"{precision}/{name}"]
        if found.shape != expected.shape:
            return f"{name} has shape {found.shape}, golden is {expected.shape}"
        distance = np.abs(found - expected)[0]
        furthest = float((distance if name == "heat" else distance[:, centres]).max())
        if not furthest <= tolerance:
            return f"{name} is {furthest:.3f} off its golden value, {tolerance} is allowed"
    return None


def _read_golden(files: ModelFiles) -> dict[str, Array]:
    try:
        with np.load(files.golden, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise ModelError(f"the golden outputs of version {files.version} cannot be read") from error


def _fastest(session: Session, picture: Array, threads: int) -> float:
    """Give the least CPU seconds of one run: the minimum is what the graph costs, the rest is what else ran."""
    # A run on several threads is shared out as the machine's load has it: this one's part of it says nothing.
    clock = time.thread_time if threads == 1 else time.process_time
    times = []
    for _ in range(ROUNDS):
        start = clock()
        session.run(None, {PICTURE: picture})
        times.append(clock() - start)
    return min(times)
