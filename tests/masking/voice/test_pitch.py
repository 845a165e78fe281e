import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.voice.pitch import HIGHEST_HZ, LOWEST_HZ, PitchTracker, pitch_of, strengths
from masking.voice.types import HOP, RATE


def voice(hertz: float, seconds: float = 0.6) -> np.ndarray:
    """Pulses through two resonances, which is what a vowel is."""
    time = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * hertz * time
    harmonics = [np.cos(k * phase) / (1 + (k * hertz / 700) ** 2) for k in range(1, int(3500 / hertz))]
    return (0.1 * sum(harmonics)).astype(np.float32)


@given(st.floats(LOWEST_HZ * 1.1, HIGHEST_HZ * 0.9))
@settings(max_examples=25, deadline=None)
def test_the_pitch_of_a_vowel_is_found(hertz: float) -> None:
    found = pitch_of(voice(hertz))[8:-8, 0]

    assert np.mean(np.abs(found / hertz - 1) < 0.03) > 0.95


def test_a_glide_is_followed() -> None:
    hertz = np.linspace(100, 200, RATE)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    glide = (0.1 * sum(np.cos(k * phase) / k for k in range(1, 12))).astype(np.float32)

    found = pitch_of(glide)[10:-10, 0]

    np.testing.assert_allclose(
        found, np.interp(np.arange(10, len(found) + 10) * HOP, np.arange(RATE), hertz), rtol=0.04
    )


@pytest.mark.parametrize("level", [0.0, 1e-5, 0.1])
def test_noise_and_silence_have_no_pitch(level: float) -> None:
    noise = (level * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)

    assert (pitch_of(noise)[:, 0] > 0).mean() < 0.2


@given(st.lists(st.integers(0, 40), max_size=6))
@settings(max_examples=25, deadline=None)
def test_frames_that_come_in_pieces_give_the_same(cuts: list[int]) -> None:
    frames = strengths(voice(140))
    at_once = PitchTracker()
    whole = np.concatenate([at_once.feed(frames), at_once.finish()])

    tracker = PitchTracker()
    pieces = np.split(frames, sorted(min(cut, len(frames)) for cut in cuts))
    found = np.concatenate([*(tracker.feed(piece) for piece in pieces), tracker.finish()])

    np.testing.assert_array_equal(found, whole)
