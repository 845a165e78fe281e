from pathlib import Path

import numpy as np
import pytest

from benchmarks.voice_found import in_noise, in_one_of_two, is_masked, open_words
from masking.onnx import open_session
from masking.voice.procedural.speaker import Speaker
from masking.voice.procedural.speech import speak
from masking.voice.procedural.words import lexicon
from masking.voice.types import Mono
from masking.voice.vad import Session

SILERO = Path(__file__).resolve().parents[2] / "data/base/silero_vad.onnx"


@pytest.fixture(scope="module")
def vad() -> Session:
    return open_session(SILERO)


@pytest.fixture(scope="module")
def words() -> list[Mono]:
    rng = np.random.default_rng(3)
    known = lexicon(30, rng)
    said = [speak(Speaker.draw(rng), [known[number]], rng).samples for number in range(4)]
    return [np.asarray(0.3 * word / np.abs(word).max(), np.float32) for word in said]


def test_words_beside_little_noise_are_masked_and_drowned_ones_lie_open(words: list[Mono], vad: Session) -> None:
    assert open_words(words, in_noise(0.0, 30), vad) == 0
    assert open_words(words, in_noise(0.0, -60), vad) > 0.5


def test_a_word_is_as_loud_as_it_is_said_to_be_and_in_one_channel(words: list[Mono]) -> None:
    sound, said = in_one_of_two(words[0], 0)
    assert sound.shape == (len(said), 2)
    np.testing.assert_allclose(sound[:, 0] - sound[:, 1], said, atol=1e-6)
    assert np.abs(sound).max() < 1
    assert sound[:16_000].std() > 5 * said.std()


def test_silence_is_not_masked(vad: Session) -> None:
    assert not is_masked(np.zeros((48_000, 1), np.float32), vad).any()
