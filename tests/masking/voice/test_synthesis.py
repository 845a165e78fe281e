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
