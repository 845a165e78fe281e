"""A small codebook of procedural speakers, as a bundle."""

from pathlib import Path

import numpy as np
import pytest

from masking.voice.procedural import Speaker, lexicon, speak
from pipelines.voice.bundles import assemble, reviewed_vad
from pipelines.voice.codebook import Codebook, Recording, learn, recording
from pipelines.voice.codebook_graph import to_graph

ROOT = Path(__file__).resolve().parents[3]
VAD = ROOT / "data/base/silero_vad.onnx"
SPEAKERS = 8
NAME = "voice-masker"


@pytest.fixture(scope="session")
def recordings() -> list[Recording]:
    rng = np.random.default_rng(0)
    words = lexicon(20, rng)
    made = []
    for number in range(SPEAKERS):
        said = speak(Speaker.draw(rng), words[:6], rng)
        made.append(recording(f"s{number}", said.samples))
    return made


@pytest.fixture(scope="session")
def codebook(recordings: list[Recording]) -> Codebook:
    return learn(recordings, 24, 5, seed=0)


@pytest.fixture(scope="session")
def voice_bundle(recordings: list[Recording], codebook: Codebook, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice") / "bundle"
    graph = to_graph(codebook).SerializeToString(deterministic=True)
    assemble(folder, NAME, "codebook", graph, recordings[0].mel, reviewed_vad(VAD))
    return folder
