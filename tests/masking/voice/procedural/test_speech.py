"""Procedural speech: it is what its labels say, it is its speaker's, and the same numbers give the same sound."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.voice.mel import centres, whole
from masking.voice.pitch import pitch_of
from masking.voice.procedural import PHONES, Speaker, Speech, lexicon, speak
from masking.voice.types import HOP, RATE

PLAIN = replace(
    Speaker.draw(np.random.default_rng(0)),
    tract=1.0,
    pitch=120.0,
    liveliness=0.05,
    accent={label: (1.0, 1.0, 1.0) for label in PHONES},
    timing=dict.fromkeys(PHONES, 1.0),
    nasality=0.0,
)


def said(word: tuple[str, ...], speaker: Speaker = PLAIN, seed: int = 0) -> Speech:
    return speak(speaker, [word], np.random.default_rng(seed))


def band(speech: Speech, label: str) -> float:
    """Frequency in Hz at which the power of a phone is centred."""
    (segment,) = [each for each in speech.segments if each.label == label]
    middle = (segment.first + segment.last) // 2 // HOP
    power = np.exp(2 * whole(speech.samples)[middle - 1 : middle + 2]).mean(axis=0)
    return float((power * centres()).sum() / power.sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_speech_is_whole_finite_and_labelled_to_the_sample(seed: int, words: int) -> None:
    rng = np.random.default_rng(seed)
    speech = speak(Speaker.draw(rng), lexicon(words, rng), rng)
    assert speech.samples.dtype == np.float32
    assert np.isfinite(speech.samples).all()
    assert np.abs(speech.samples).max() <= 1
    assert speech.segments[0].first == 0
    assert speech.segments[-1].last == len(speech.samples)
    for before, after in zip(speech.segments, speech.segments[1:], strict=False):
        assert before.last == after.first < after.last


def test_the_same_numbers_give_the_same_sound_and_others_another() -> None:
    first, again, other = said(("S", "AA")), said(("S", "AA")), said(("S", "AA"), seed=1)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert len(other.samples) != len(first.samples) or not np.array_equal(other.samples, first.samples)


def test_a_hiss_is_high_and_a_vowel_is_low() -> None:
    speech = said(("S", "AA", "SH", "UW"))
    assert band(speech, "S") > band(speech, "SH") > 1500 > band(speech, "AA") > band(speech, "UW")


def test_a_shorter_tract_sounds_higher() -> None:
    low, high = said(("AA",)), said(("AA",), replace(PLAIN, tract=1.2))
    assert band(high, "AA") > 1.08 * band(low, "AA")


@pytest.mark.parametrize("hertz", [90.0, 120.0, 180.0, 240.0])
def test_the_pitch_is_the_speakers(hertz: float) -> None:
    speech = said(("M", "AA", "N", "OW", "L", "IY"), replace(PLAIN, pitch=hertz, roughness=0.002))
    found = pitch_of(speech.samples)[:, 0]
    assert np.median(found[found > 0]) == pytest.approx(hertz, rel=0.12)


def test_silence_is_quiet_and_a_stop_is_shut_before_it_bursts() -> None:
    speech = said(("AA", "T", "AA"))
    level = whole(speech.samples).mean(axis=1)
    silence, _, stop, *_ = speech.segments
    loud = level.max()
    assert level[: silence.last // HOP // 2].max() < loud - 1.5
    assert level[stop.first // HOP + 2] < loud - 1.0


def test_a_slow_speaker_takes_longer() -> None:
    word = ("AA", "M", "IY")
    assert len(said(word, replace(PLAIN, rate=1.5)).samples) > 1.3 * len(said(word, replace(PLAIN, rate=1.0)).samples)


def test_speakers_differ_by_more_than_one_speaker_does() -> None:
    def colour(speaker: Speaker, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        mel = whole(speak(speaker, lexicon(8, np.random.default_rng(5)), rng).samples)
        loud = mel[mel.mean(axis=1) > np.percentile(mel.mean(axis=1), 40)]
        return np.asarray(loud.mean(axis=0) - loud.mean())

    speakers = [Speaker.draw(np.random.default_rng(number)) for number in range(8)]
    first, second = (np.stack([colour(each, seed) for each in speakers]) for seed in (0, 1))
    distance = np.linalg.norm(first[:, None] - second[None, :], axis=2)
    assert (distance.argmin(axis=1) == np.arange(8)).mean() >= 0.75


def test_words_are_distinct_and_bounded() -> None:
    words = lexicon(200, np.random.default_rng(0))
    assert len(set(words)) == 200
    assert all(label in PHONES for word in words for label in word)
    with pytest.raises(ValueError, match="5000"):
        lexicon(5001, np.random.default_rng(0))


def test_everybody_can_be_heard() -> None:
    for number in range(6):
        rng = np.random.default_rng([3, number])
        speech = speak(Speaker.draw(rng), lexicon(4, rng), rng)
        voiced = pitch_of(speech.samples)[:, 0] > 0
        assert 0.25 < voiced.mean() < 0.95
        assert len(speech.samples) / RATE > 0.5
