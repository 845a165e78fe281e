"""A voice model that needs no training, and speech of people that are drawn."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from masking.onnx import open_session
from masking.voice.loading import VoiceGraph, VoiceModel
from masking.voice.procedural.speaker import Speaker
from masking.voice.procedural.speech import speak
from masking.voice.procedural.words import lexicon
from masking.voice.types import BANDS

SILERO = Path(__file__).resolve().parents[2] / "data/base/silero_vad.onnx"


class Monotone:
    """A graph to which every frame sounds the same, as loud as it came."""

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Any]) -> Sequence[Any]:
        mel = inputs["mel"]
        level = mel.mean(axis=2, keepdims=True) + np.linspace(1, -1, BANDS, dtype=np.float32)
        return [level.astype(np.float32), np.full((*mel.shape[:2], 1), 0.5, np.float32)]


@pytest.fixture(scope="session")
def voice_model() -> VoiceModel:
    graph = VoiceGraph(Monotone(), 3, 3, np.linspace(-2, -4, BANDS).astype(np.float32))
    return VoiceModel("voice-masker", "7", graph, open_session(SILERO), "of the test")


@pytest.fixture(scope="session")
def talk() -> Callable[..., NDArray[np.float32]]:
    """Make speech at 16 kHz: a person of that number says that many words, half a second of silence around."""

    def make(person: int = 0, words: int = 4) -> NDArray[np.float32]:
        rng = np.random.default_rng(person)
        known = lexicon(30, rng)
        said = speak(Speaker.draw(rng), [known[index] for index in rng.integers(0, 30, words)], rng).samples
        return np.concatenate([np.zeros(8000, np.float32), said, np.zeros(8000, np.float32)])

    return make
