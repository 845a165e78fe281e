"""From the files of a voice model to one that may be used: golden-tested and warm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from masking.errors import ModelError
from masking.onnx import open_session
from masking.voice.types import BANDS, Frames

PRECISION: Final = "fp32"
ARCHITECTURES: Final = ("soft-vq", "codebook")
OUTPUTS: Final = ("envelope", "voicing")
TOLERANCE: Final = 0.05
"""How far an output may lie from the golden one: kernels of other processors round otherwise."""


class VoiceFiles(Protocol):
    """A version of a voice model on this machine, its files verified by whoever hands it over."""

    @property
    def name(self) -> str:
        """Name of the registered model."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def architecture(self) -> str:
        """A name in `ARCHITECTURES`."""

    @property
    def graphs(self) -> Mapping[str, Path]:
        """ONNX files by precision."""

    @property
    def golden(self) -> Path:
        """NumPy archive with ``mel`` (1, t, 80), and ``fp32/envelope`` and ``fp32/voicing``, all that is said of it."""

    @property
    def vad(self) -> Path | None:
        """ONNX file of the detector of speech."""

    @property
    def digest(self) -> str:
        """Digest over all files."""


class Session(Protocol):
    """The part of an onnxruntime session that is used here."""

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """Run the graph."""


@dataclass(frozen=True, slots=True, eq=False)
class VoiceGraph:
    """The graph that says what a frame sounds like in the average voice.

    Attributes:
        session: Takes ``mel`` (1, t, 80), gives ``envelope`` (1, t, 80) and ``voicing`` (1, t, 1).
        left: Frames before one that what is said of it depends on.
        right: Frames after it.
        average: Envelope of the average voice over its speech, shape (80,).
    """

    session: Session
    left: int
    right: int
    average: NDArray[np.float32]

    def __call__(self, mel: Frames) -> tuple[Frames, NDArray[np.float32]]:
        """Map frames with their context.

        Args:
            mel: Log-mel frames, shape (left + t + right, 80).

        Returns:
            Logarithm of the amplitude at the bands' centres, shape (t, 80), and voicing in [0, 1], shape (t,).

        Raises:
            ModelError: The graph failed, or its answer is no number.
        """
        envelope, voicing = self.outputs(mel[None])
        end = len(mel) - self.right
        return envelope[0, self.left : end], np.clip(voicing[0, self.left : end, 0], 0, 1)

    def outputs(self, mel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the graph: frames of shape (1, t, 80) to its outputs; errors as of a call."""
        try:
            envelope, voicing = self.session.run(list(OUTPUTS), {"mel": mel})
        except Exception as error:
            raise ModelError(f"the voice model failed ({type(error).__name__})") from error
        if envelope.shape != mel.shape or voicing.shape != (*mel.shape[:2], 1):
            raise ModelError("the voice model answered in another shape than it promises")
        if not (np.isfinite(envelope).all() and np.isfinite(voicing).all()):
            raise ModelError("the voice model answered with values that are no numbers")
        return envelope, voicing


@dataclass(frozen=True, slots=True, eq=False)
class VoiceModel:
    """A voice model that can be used.

    Attributes:
        name: Name of the registered model.
        version: Its version in the registry.
        graph: Maps frames to the average voice.
        vad: Session of the detector of speech.
        bundle: Digest of its files.
        precision: Which of its graphs is used.
    """

    name: str
    version: str
    graph: VoiceGraph
    vad: Session
    bundle: str
    precision: str = PRECISION


def load_voice(files: VoiceFiles, threads: int = 1) -> VoiceModel:
    """Open and golden-test a voice model.

    Args:
        files: The verified files.
        threads: Threads within one inference.

    Raises:
        ModelError: It is of an unknown kind, lacks a file, or does not give its golden outputs on this machine.
    """
    if files.architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {files.architecture!r} is unknown here")
    if PRECISION not in files.graphs or files.vad is None:
        raise ModelError(f"version {files.version} lacks its graph or its detector of speech")
    graph = open_graph(files.graphs[PRECISION], threads)
    fault = golden_fault(graph, _read_golden(files))
    if fault:
        raise ModelError(f"version {files.version} does not pass its test on this machine: {fault}")
    return VoiceModel(files.name, files.version, graph, open_session(files.vad, threads), files.digest)


def open_graph(file: Path | bytes, threads: int = 1) -> VoiceGraph:
    """Open the graph of a voice model and read what it says of itself.

    Raises:
        ModelError: It cannot be opened, or does not say what it must.
    """
    session = open_session(file, threads)
    told = session.get_modelmeta().custom_metadata_map
    try:
        average = np.array([float(value) for value in told["average"].split(",")], np.float32)
        left, right = int(told["left"]), int(told["right"])
    except (KeyError, ValueError) as error:
        raise ModelError("the voice model does not say left, right and average") from error
    if average.shape != (BANDS,) or not np.isfinite(average).all() or min(left, right) < 0:
        raise ModelError("what the voice model says of itself is out of range")
    return VoiceGraph(session, left, right, average)


def golden_fault(graph: VoiceGraph, golden: Mapping[str, NDArray[Any]]) -> str | None:
    """Say what is wrong with the outputs for the golden frames, all of them; None if nothing is."""
    found = graph.outputs(golden["mel"])
    for name, output in zip(OUTPUTS, found, strict=True):
        expected = golden[f"{PRECISION}/{name}"]
        if output.shape != expected.shape:
            return f"{name} has shape {output.shape}, golden is {expected.shape}"
        furthest = float(np.abs(output - expected).max())
        if not furthest <= TOLERANCE:
            return f"{name} is {furthest:.3f} off its golden value, {TOLERANCE} is allowed"
    return None


def _read_golden(files: VoiceFiles) -> dict[str, NDArray[Any]]:
    try:
        with np.load(files.golden, allow_pickle=False) as file:
            return {name: file[name] for name in ("mel", *(f"{PRECISION}/{output}" for output in OUTPUTS))}
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the golden outputs of version {files.version} cannot be read") from error
