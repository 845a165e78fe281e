from pathlib import Path

import numpy as np
import pytest

from masking.errors import ModelError
from masking.onnx import open_session
from masking.voice.procedural.speaker import Speaker
from masking.voice.procedural.speech import speak
from masking.voice.procedural.words import lexicon
from masking.voice.vad import CONTEXT, WINDOW, Heard, Session, SpeechFinder, periodic

SILERO = Path(__file__).resolve().parents[3] / "data/base/silero_vad.onnx"
SECONDS = np.arange(16_000 * 4 // WINDOW * WINDOW) / 16_000


@pytest.fixture(scope="module")
def silero() -> Session:
    return open_session(SILERO)


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """A drawn person says some words; silence before and after."""
    rng = np.random.default_rng(3)
    words = lexicon(30, rng)
    said = speak(Speaker.draw(rng), [words[index] for index in rng.integers(0, 30, 8)], rng).samples
    return np.concatenate([np.zeros(16_000, np.float32), said, np.zeros(16_000 + -len(said) % WINDOW, np.float32)])


def noise(loudness: float) -> np.ndarray:
    return (np.random.default_rng(1).normal(size=len(SECONDS)) * loudness).astype(np.float32)


def finds(session: Session, samples: np.ndarray, *, keen: bool = False) -> Heard:
    return SpeechFinder(session, keen=keen).feed(samples[: len(samples) // WINDOW * WINDOW].astype(np.float32))


@pytest.mark.parametrize("decibels", [0, -20, -40, -50])
def test_speech_is_found_however_quiet(decibels: int, silero: Session, speech: np.ndarray) -> None:
    heard = finds(silero, speech * 10 ** (decibels / 20))
    loud = np.square(speech[: len(heard.speech) * WINDOW].reshape(-1, WINDOW)).mean(axis=1)
    words = loud > 0.1 * loud.max()
    assert heard.voice[words].mean() > 0.97
    assert not heard.voice[:25].any()


def test_a_keen_finder_hears_who_answers_far_more_quietly(silero: Session, speech: np.ndarray) -> None:
    said = speech[8_000:-8_000]
    far = 0.003 * said
    heard = finds(silero, np.concatenate([said, far]), keen=True)
    loud = np.square(far[: len(far) // WINDOW * WINDOW].reshape(-1, WINDOW)).mean(axis=1)
    words = loud > 0.1 * loud.max()
    first = -(-len(said) // WINDOW)
    assert heard.voice[first : first + len(words)][words[: len(heard.voice) - first]].mean() > 0.9


@pytest.mark.parametrize("loudness", [1e-4, 0.02, 0.1])
def test_a_keen_finder_hears_at_least_what_another_hears(loudness: float, silero: Session, speech: np.ndarray) -> None:
    hiss = loudness * np.random.default_rng(2).normal(size=len(speech))
    plain, keen = (finds(silero, speech + hiss, keen=each) for each in (False, True))
    assert (keen.voice | ~plain.voice).all()
    assert (keen.speech | ~plain.speech).all()
    assert keen.voice.sum() > plain.voice.sum()


@pytest.mark.parametrize(
    "samples",
    [0 * SECONDS, noise(0.05), noise(1e-4), np.full(len(SECONDS), 0.5), 0.2 * np.sin(2 * np.pi * 50 * SECONDS)],
    ids=["silence", "noise", "faint noise", "DC", "hum"],
)
def test_what_nobody_says_is_not_speech(samples: np.ndarray, silero: Session) -> None:
    assert finds(silero, samples + noise(1e-5)).speech.mean() < 0.05


def test_windows_are_judged_the_same_in_one_go_and_one_by_one(silero: Session, speech: np.ndarray) -> None:
    whole = finds(silero, speech)
    finder = SpeechFinder(silero)
    parts = [finder.feed(window) for window in speech[: len(whole.speech) * WINDOW].reshape(-1, WINDOW)]
    np.testing.assert_array_equal(np.concatenate([part.windows for part in parts]), whole.windows)
    assert (np.concatenate([part.speech for part in parts]) == whole.speech).mean() > 0.99


@pytest.mark.parametrize(("hertz", "loudness", "voice"), [(110, 0.1, True), (300, 0.01, True), (110, 1e-5, False)])
def test_what_is_periodic_like_a_voice_counts(hertz: float, loudness: float, voice: bool) -> None:
    buzz = sum(np.sin(2 * np.pi * hertz * harmonic * SECONDS) / harmonic for harmonic in range(1, 10))
    windows = np.lib.stride_tricks.sliding_window_view((loudness * buzz).astype(np.float32), CONTEXT + WINDOW)[::WINDOW]
    assert periodic(windows).all() == voice
    assert periodic(windows).any() == voice


def test_noise_is_not_periodic() -> None:
    windows = np.lib.stride_tricks.sliding_window_view(noise(0.1), CONTEXT + WINDOW)[::WINDOW]
    assert not periodic(windows).any()


class Raising:
    def run(self, names: object, inputs: object) -> list[object]:
        raise RuntimeError("out of memory")


def test_a_detector_that_raises_is_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match="RuntimeError"):
        finds(Raising(), noise(0.1))
