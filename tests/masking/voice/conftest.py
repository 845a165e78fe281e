"""Sound made here, and stand-ins for the two models that a stream needs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from masking.voice.pseudo import PseudoVoice
from masking.voice.types import RATE, Mono

Samples = NDArray[np.float32]


class LoudIsSpeech:
    """A detector of speech that takes what is loud for it."""

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Any]) -> Sequence[Any]:
        windows = inputs["input"]
        return [(np.abs(windows).max(axis=1) > 0.02).astype(np.float32), inputs["h"], inputs["c"]]


class Upside:
    """A converter that turns samples upside down, late by some, and remembers the pseudo-voices that it was told."""

    def __init__(self, delay: int = 700) -> None:
        self.delay = delay
        self.voices: list[PseudoVoice] = []
        self._held: Mono = np.empty(0, np.float32)

    def feed(self, samples: Mono, voice: PseudoVoice) -> Mono:
        self.voices.append(voice)
        self._held = np.concatenate([self._held, -samples])
        ready = max(0, len(self._held) - self.delay)
        made, self._held = self._held[:ready], self._held[ready:]
        return made

    def finish(self) -> Mono:
        return self._held


@pytest.fixture(scope="session")
def loud_is_speech() -> LoudIsSpeech:
    return LoudIsSpeech()


@pytest.fixture(scope="session")
def upside() -> Callable[[], Upside]:
    return Upside


def _say(spans: Sequence[tuple[float, float]], seconds: float, rate: int) -> Samples:
    """A buzz with a swing in pitch in some spans of seconds, a faint hiss all the while."""
    at = np.arange(round(seconds * rate)) / rate
    hertz = 120 + 30 * np.sin(2 * np.pi * 3 * at)
    phase = np.cumsum(hertz) / rate
    buzz = sum(np.sin(2 * np.pi * harmonic * phase) / harmonic for harmonic in range(1, 12))
    loud = np.zeros(len(at), np.float32)
    for first, last in spans:
        loud[round(first * rate) : round(last * rate)] = 1
    hiss = np.random.default_rng(5).normal(size=len(at)) * 1e-5
    return (0.1 * buzz * loud + hiss).astype(np.float32)


@pytest.fixture(scope="session")
def say() -> Callable[..., Samples]:
    """Make sound: spans with a voice, seconds in all, rate."""

    def make(spans: Sequence[tuple[float, float]], seconds: float, rate: int = RATE) -> Samples:
        return _say(spans, seconds, rate)

    return make
