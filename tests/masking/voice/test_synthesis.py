import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.voice.envelope import envelopes
from masking.voice.mel import BANDS, centres, whole
from masking.voice.pitch import pitch_of
from masking.voice.synthesis import Synthesis
from masking.voice.types import HOP, RATE

FRAMES = 80


def vowel() -> np.ndarray:
    """Log amplitudes of a vowel with formants at 700 and 1200 Hz."""
    peaks = sum(height / (1 + ((centres() - hertz) / 120) ** 2) for hertz, height in ((700, 3.0), (1200, 2.5)))
    return np.tile(peaks - 5, (FRAMES, 1)).astype(np.float32)


def said(hertz: float, voicing: float = 1.0, seed: int = 0) -> np.ndarray:
    constant = np.ones(FRAMES, np.float32)
    return Synthesis(seed).feed(vowel(), hertz * constant, voicing * constant)


@given(st.floats(80, 200))
@settings(max_examples=15, deadline=None)
def test_a_voice_has_the_pitch_and_the_envelope_that_were_asked_for(hertz: float) -> None:
    sound = said(hertz)

    found = pitch_of(sound)[10:-10, 0]
    heard = envelopes(sound, pitch_of(sound)[:, 0])[10:-10]
    inner = (centres() > 300) & (centres() < 6000)
    assert np.median(np.abs(found / hertz - 1)) < 0.02
    assert np.abs((heard - vowel()[0])[:, inner].mean(0)).mean() < 0.5


def test_a_whisper_has_the_envelope_and_no_pitch() -> None:
    sound = said(120, voicing=0)

    # A narrow resonance rings, and a ring has a pitch.
    assert (pitch_of(sound)[:, 0] > 0).mean() < 0.8
    assert np.abs((whole(sound)[10:-10] - vowel()[0]).mean(0)[5:]).mean() < 0.5


def test_voice_and_whisper_are_as_loud() -> None:
    loud, soft = (np.sqrt(np.square(said(120, voicing)[RATE // 10 :]).mean()) for voicing in (1, 0))

    assert 0.6 < loud / soft < 1.7


def test_a_whisper_is_as_loud_between_two_frames_as_in_them() -> None:
    """Grains of noise that fade into one another add up to steady noise, not to one that buzzes at their rate."""
    flat, constant = np.full((FRAMES, BANDS), -4, np.float32), np.ones(FRAMES, np.float32)
    sounds = [Synthesis(seed).feed(flat, 120 * constant, 0 * constant)[10 * HOP :] for seed in range(20)]
    power = np.square(np.concatenate(sounds).reshape(-1, HOP)).mean(0).reshape(8, -1).mean(1)

    assert power.max() / power.min() < 1.3


def test_a_whisper_begins_and_ends_with_its_frames() -> None:
    envelope = np.full((FRAMES, BANDS), -12, np.float32)
    envelope[30:50] = -4
    constant = np.ones(FRAMES, np.float32)

    sounds = [Synthesis(seed).feed(envelope, 120 * constant, 0 * constant) for seed in range(20)]
    power = np.square(np.stack(sounds)).mean(0).reshape(-1, HOP // 4).mean(1)
    # The first sample leads from a frame before the first: frame 30 is reached after 31 of them.
    first, *_, last = np.flatnonzero(power > np.median(power[35 * 4 : 45 * 4]) / 4) / 4

    assert 30 <= first < 31
    assert 50 <= last < 51.25


@given(st.lists(st.integers(0, FRAMES), max_size=5))
@settings(max_examples=20, deadline=None)
def test_frames_that_come_in_pieces_sound_the_same(cuts: list[int]) -> None:
    random = np.random.default_rng(1)
    envelope = random.normal(-4, 1, (FRAMES, BANDS)).astype(np.float32)
    pitch = random.uniform(80, 200, FRAMES).astype(np.float32)
    voicing = random.uniform(0, 1, FRAMES).astype(np.float32)
    whole_sound = Synthesis(7).feed(envelope, pitch, voicing)

    synthesis = Synthesis(7)
    edges = [0, *sorted(cuts), FRAMES]
    parts = [synthesis.feed(envelope[a:b], pitch[a:b], voicing[a:b]) for a, b in itertools.pairwise(edges)]

    assert len(whole_sound) == FRAMES * HOP
    np.testing.assert_allclose(np.concatenate(parts), whole_sound, atol=1e-5)
