import numpy as np
import pytest

from masking.evaluation.voice.baselines import mcadams, pitch_shift
from masking.evaluation.voice.spectra import analyse
from masking.evaluation.voice.utility import compare
from masking.voice.procedural import Speaker, lexicon, speak

RATE = 16_000


def speech(seed: int = 0, sex: str = "m") -> np.ndarray:
    rng = np.random.default_rng(seed)
    return speak(Speaker.draw(rng, sex), lexicon(5, rng), rng).samples


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * np.sum([np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 12)], axis=0)).astype(np.float32)


@pytest.mark.parametrize("hertz", [70.0, 110.0, 155.0, 220.0, 330.0, 390.0])
def test_pitch_is_found(hertz):
    frames = analyse(tone(hertz))
    assert np.exp(np.nanmedian(frames.pitch)) == pytest.approx(hertz, rel=0.01)
    assert frames.clarity[10:-10].min() > 0.8


@pytest.mark.parametrize("sound", [np.zeros(RATE), np.random.default_rng(0).normal(0, 0.1, RATE), np.ones(RATE)])
def test_what_is_no_voice_has_no_pitch(sound):
    assert np.isfinite(analyse(sound.astype(np.float32)).pitch).mean() < 0.1


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 640, 1601])
def test_the_shortest_sounds_are_described(samples):
    frames = analyse(np.full(samples, 0.1, np.float32))
    assert len(frames.mel) == len(frames.pitch) == len(frames.speech) > 0
    assert np.isfinite(frames.cepstra).all()


def test_the_same_speech_is_wholly_useful():
    told = compare([speech()], [speech()])
    assert told.pitch_correlation == pytest.approx(1)
    assert told.voicing_agreement == 1
    assert told.same_length
    assert told.sync_milliseconds == 0
    assert told.facts()["utterances"] == 1


@pytest.mark.parametrize("shift", [0.05, 0.2, -0.1])
def test_lost_sync_is_told(shift):
    plain = speech()
    late = np.roll(np.pad(plain, RATE), int(shift * RATE))
    assert compare([np.pad(plain, RATE)], [late]).sync_milliseconds == pytest.approx(1000 * shift, abs=10)


def test_another_length_is_told():
    assert not compare([speech()], [speech()[:-1]]).same_length


def test_a_monotone_voice_has_no_melody_in_common():
    plain = speech()
    flat = tone(120, len(plain) / RATE)[: len(plain)]
    assert not compare([plain], [flat]).pitch_correlation > 0.5


def test_silence_has_nothing_to_compare_but_its_length():
    told = compare([speech()], [np.zeros_like(speech())])
    assert np.isnan(told.pitch_correlation)
    assert told.same_length


@pytest.mark.parametrize("pair", [([], []), ([speech()], [])])
def test_nothing_cannot_be_compared(pair):
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(*pair)


@pytest.mark.parametrize("mask", [mcadams, pitch_shift])
@pytest.mark.parametrize("samples", [0, 1, 100, 5000, 47_123])
def test_baselines_keep_the_length_and_are_drawn_by_their_number(mask, samples):
    sound = speech()[:samples]
    masked = mask(sound, 1)
    assert masked.shape == sound.shape
    assert masked.dtype == np.float32
    assert np.abs(masked).max(initial=0) <= 1
    assert np.array_equal(masked, mask(sound, 1))
    assert samples < 5000 or not np.allclose(masked, mask(sound, 2), atol=1e-3)


@pytest.mark.parametrize("number", range(6))
def test_a_pitch_shift_shifts_the_pitch(number):
    plain = tone(160, 2)
    moved = analyse(pitch_shift(plain, number)).pitch[20:-20]
    semitones = 12 * (np.nanmedian(moved) - np.log(160)) / np.log(2)
    assert 2.8 < abs(semitones) < 6.2


def test_mcadams_moves_formants_and_keeps_pitch_and_level():
    plain = speech(3)
    masked = mcadams(plain, 4)
    before, after = analyse(plain), analyse(masked)
    assert compare([plain], [masked]).pitch_correlation > 0.8
    assert np.abs(before.cepstra[before.speech].mean(axis=0) - after.cepstra[before.speech].mean(axis=0)).max() > 1
    assert 0.5 < masked.std() / plain.std() < 2
