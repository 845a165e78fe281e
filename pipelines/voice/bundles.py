"""The bundle of a voice model: its graph, what finds speech, and golden outputs by which every machine checks both."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from masking.onnx import open_session
from mlops.registry.bundle import Bundle, open_bundle, write_manifest

GRAPH: Final = "voice.onnx"
GOLDEN: Final = "golden.npz"
SPEECH: Final = "vad.onnx"
FIGURES: Final = "figures.json"
PRECISION: Final = "fp32"
OUTPUTS: Final = ("envelope", "voicing")
VAD: Final = Path("data/base/silero_vad.onnx")
VAD_SHA256: Final = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
GOLDEN_FRAMES: Final = 32
SHAKEN: Final = 1e-3


class VadError(Exception):
    """What finds speech is missing or is not the graph that was reviewed."""


def reviewed_vad(path: Path = VAD) -> Path:
    """Give the path of silero's graph for sequences at 16 kHz after checking its digest.

    Raises:
        VadError: The file is missing, or its SHA-256 is another.
    """
    if not path.is_file():
        raise VadError(f"{path} is missing: `make setup` takes it out of the pinned silero-vad wheel")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != VAD_SHA256:
        raise VadError(f"{path} has SHA-256 {digest}, expected {VAD_SHA256}: it is not the reviewed silero graph")
    return path


def golden_outputs(graph: Path, mel: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Give the arrays of golden.npz: ``mel`` (1, n, 80) and what the graph makes of it.

    Args:
        graph: The ONNX file.
        mel: Frames of speech, shape (n, 80). Every load runs what is taken, so it is short; and it is the stretch whose
            outputs move least when the frames are shaken a little, or a near tie between two entries of a codebook
            would fall otherwise on another processor.
    """
    session, rng = open_session(graph), np.random.default_rng(0)
    starts = range(0, max(1, len(mel) - GOLDEN_FRAMES), GOLDEN_FRAMES // 2)
    stretches = [np.ascontiguousarray(mel[None, start : start + GOLDEN_FRAMES]) for start in starts]

    def moved(frames: NDArray[np.float32]) -> float:
        shaken = frames + rng.uniform(-SHAKEN, SHAKEN, frames.shape).astype(np.float32)
        both = (session.run(list(OUTPUTS), {"mel": each}) for each in (frames, shaken))
        return max(float(np.abs(first - second).max()) for first, second in zip(*both, strict=True))

    frames = min(stretches, key=moved)
    outputs = session.run(list(OUTPUTS), {"mel": frames})
    return {"mel": frames} | {f"{PRECISION}/{name}": value for name, value in zip(OUTPUTS, outputs, strict=True)}


def assemble(out: Path, name: str, architecture: str, graph: bytes, mel: NDArray[np.float32], vad: Path) -> str:
    """Write a bundle, made anew; returns the digest of its manifest.

    Args:
        out: Folder of the bundle.
        name: Name of the model in the registry.
        architecture: What the graph is, ``codebook`` or ``soft-vq``.
        graph: The ONNX graph.
        mel: Frames of speech for the golden outputs, shape (n, 80).
        vad: The graph that finds speech, reviewed.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / GRAPH).write_bytes(graph)
    shutil.copyfile(vad, out / SPEECH)
    np.savez_compressed(out / GOLDEN, allow_pickle=False, **golden_outputs(out / GRAPH, mel))
    return write_manifest(out, name, architecture, {PRECISION: GRAPH}, GOLDEN, vad=SPEECH)


def with_figures(bundle: Bundle, figures: Mapping[str, Any], out: Path) -> Bundle:
    """Copy a bundle, made anew, and put beside its files what was measured of it, by style; gives the copy.

    Raises:
        BundleError: A file changed on the way.
    """
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(bundle.folder, out)
    (out / FIGURES).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    digest = write_manifest(
        out, bundle.name, bundle.architecture, {PRECISION: GRAPH}, GOLDEN, vad=SPEECH, figures=FIGURES
    )
    return open_bundle(out, bundle.version, digest)
