"""What every style promises: as many samples as went in, each at its place, however they were cut."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.errors import ModelError, PolicyError
from masking.voice.loading import VoiceGraph, VoiceModel, open_graph
from masking.voice.maskers import STYLES, Converter, converter
from masking.voice.pitch import pitch_of
from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.pseudo import PseudoVoice
from masking.voice.types import RATE, Mono

SHIPPED = Path(__file__).parents[4] / "models/voice/voice.onnx"


@pytest.fixture(scope="module")
def model() -> VoiceModel:
    return VoiceModel("voice-masker", "1", open_graph(SHIPPED), vad=None, bundle="")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def speech() -> Mono:
    random = np.random.default_rng(3)
    words = lexicon(4, random)
    return np.asarray(speak(Speaker.draw(random), words, random).samples[: 2 * RATE], np.float32)


def converted(tier: Converter, pieces: Sequence[Mono], voices: Sequence[PseudoVoice]) -> list[Mono]:
    made = [tier.feed(piece, voice) for piece, voice in zip(pieces, voices, strict=True)]
    return [*made, tier.finish()]


@pytest.mark.parametrize("style", STYLES)
@given(cuts=st.lists(st.integers(0, 2 * RATE), max_size=8), change=st.integers(0, 2 * RATE))
@settings(max_examples=6, deadline=None)
def test_cutting_changes_nothing(style: str, model: VoiceModel, speech: Mono, cuts: list[int], change: int) -> None:
    one, two = PseudoVoice.draw(1), PseudoVoice.draw(2)
    whole = np.concatenate(converted(converter(style, model), [speech[:change], speech[change:]], [one, two]))

    tier = converter(style, model)
    edges = [0, *sorted({*(cut for cut in cuts if cut < len(speech)), min(change, len(speech))}), len(speech)]
    pieces = [speech[a:b] for a, b in itertools.pairwise(edges)]
    made = converted(tier, pieces, [one if a < change else two for a in edges[:-1]])

    taken = np.cumsum([len(piece) for piece in pieces])
    given_back = np.cumsum([len(piece) for piece in made[:-1]])
    assert len(whole) == len(speech)
    assert (taken - given_back <= tier.delay).all()
    np.testing.assert_allclose(np.concatenate(made), whole, atol=1e-4)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("length", [0, 1, 159, 160, 161, 1600])
def test_the_shortest_sounds_keep_their_length(style: str, model: VoiceModel, length: int) -> None:
    tier = converter(style, model)
    sound = np.full(length, 0.1, np.float32)

    assert len(np.concatenate(converted(tier, [sound], [PseudoVoice.draw(0)]))) == length


@pytest.mark.parametrize("style", STYLES)
def test_a_long_piece_is_the_same_as_many_short_ones(style: str, model: VoiceModel, speech: Mono) -> None:
    long = np.tile(speech, 4)
    voice = PseudoVoice.draw(5)

    whole = np.concatenate(converted(converter(style, model), [long], [voice]))
    tier = converter(style, model)
    pieces = [long[start : start + 640] for start in range(0, len(long), 640)]

    np.testing.assert_allclose(np.concatenate(converted(tier, pieces, [voice] * len(pieces))), whole, atol=1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_silence_stays_nearly_silent(style: str, model: VoiceModel) -> None:
    tier = converter(style, model)
    silence = np.zeros(RATE, np.float32)

    assert np.abs(np.concatenate(converted(tier, [silence], [PseudoVoice.draw(1)]))).max() < 0.05


@pytest.mark.parametrize("style", ["disguise", "strong"])
def test_the_pitch_is_that_of_the_pseudo_voice(style: str, model: VoiceModel, speech: Mono) -> None:
    voices = [PseudoVoice(pitch_hz, 1.0, 0.0, 1) for pitch_hz in (100.0, 190.0)]

    found = []
    for voice in voices:
        made = np.concatenate(converted(converter(style, model), [speech], [voice]))
        pitch = pitch_of(made)[:, 0]
        found.append(float(np.median(pitch[pitch > 0])))

    assert 1.4 < found[1] / found[0] < 2.6


def test_voices_are_drawn_by_number() -> None:
    voices = [PseudoVoice.draw(number) for number in range(200)]

    assert PseudoVoice.draw(7) == voices[7]
    assert len({voice.pitch_hz for voice in voices}) == 200
    assert np.std([np.log2(voice.pitch_hz) for voice in voices]) > 0.2


def test_an_unknown_style_is_refused(model: VoiceModel) -> None:
    with pytest.raises(PolicyError, match="disguise, one-voice, strong"):
        converter("louder", model)


class _Answers:
    def __init__(self, envelope: np.ndarray, voicing: np.ndarray) -> None:
        self._answer = [envelope, voicing]

    def run(self, names: object, inputs: object) -> list[np.ndarray]:
        return self._answer


@pytest.mark.parametrize(
    ("envelope", "voicing", "why"),
    [
        (np.full((1, 30, 80), np.nan), np.zeros((1, 30, 1)), "no numbers"),
        (np.zeros((1, 29, 80)), np.zeros((1, 29, 1)), "another shape"),
    ],
)
def test_a_model_that_answers_nonsense_is_an_error(envelope: np.ndarray, voicing: np.ndarray, why: str) -> None:
    graph = VoiceGraph(_Answers(envelope, voicing), 10, 10, np.zeros(80, np.float32))

    with pytest.raises(ModelError, match=why):
        graph(np.zeros((30, 80), np.float32))


def test_the_model_that_ships_speaks_at_a_level_that_files_hold(model: VoiceModel, speech: Mono) -> None:
    """A model of another level would be bent flat by the limiter behind it."""
    made = np.concatenate(converted(converter("strong", model), [speech], [PseudoVoice.draw(3)]))

    assert 0.005 < np.sqrt(np.square(made).mean()) < 0.2
    assert np.abs(made).max() < 1.5
