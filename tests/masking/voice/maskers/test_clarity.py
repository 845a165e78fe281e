"""What comes out clear: formants that stand out, pauses that are silent, and loudness and brightness as they were."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.voice.maskers.clarity import Clarity
from masking.voice.mel import centres
from masking.voice.types import BANDS

LOUD = -4.0


def vowel(frames: int, level: float = LOUD) -> np.ndarray:
    formants = sum(height / (1 + ((centres() - hertz) / 150) ** 2) for hertz, height in ((600, 3.0), (1300, 2.5)))
    return np.tile(formants - formants.mean() + level, (frames, 1)).astype(np.float32)


def clear(envelope: np.ndarray, voicing: float = 1.0) -> np.ndarray:
    return Clarity().give(envelope, np.full(len(envelope), voicing, np.float32), begins=True)


def test_peaks_rise_and_valleys_fall() -> None:
    before, after = vowel(1)[0], clear(vowel(1))[0]
    peak, valley = int(np.abs(centres() - 600).argmin()), int(np.abs(centres() - 900).argmin())

    assert (after[peak] - after[valley]) / (before[peak] - before[valley]) > 1.2


def test_loudness_and_brightness_stay() -> None:
    tilted = vowel(1) + np.cos(np.pi * (np.arange(BANDS) + 0.5) / BANDS)
    slope = np.cos(np.pi * (np.arange(BANDS) + 0.5) / BANDS)

    np.testing.assert_allclose(clear(tilted).mean(), tilted.mean(), atol=1e-4)
    np.testing.assert_allclose(clear(tilted)[0] @ slope, tilted[0] @ slope, atol=1e-2)


def test_what_is_flat_stays_flat() -> None:
    flat = np.full((3, BANDS), LOUD, np.float32)

    np.testing.assert_allclose(clear(flat), flat, atol=1e-4)


def test_pauses_become_silent_and_soft_sounds_do_not() -> None:
    for level, lowest, highest in ((LOUD - 4, -20.0, LOUD - 6), (LOUD - 1, LOUD - 1.01, LOUD - 0.99)):
        clarity = Clarity()
        clarity.give(vowel(300), np.ones(300, np.float32), begins=True)
        made = clarity.give(vowel(5, level), np.zeros(5, np.float32), begins=False).mean(axis=1)
        assert (lowest < made).all()
        assert (made < highest).all()


def test_a_model_that_speaks_softly_is_not_silenced() -> None:
    soft = clear(vowel(400, LOUD - 4))

    assert soft[-1].mean() > LOUD - 4.1


def test_an_utterance_knows_nothing_of_the_one_before() -> None:
    clarity, voiced = Clarity(), np.ones(200, np.float32)
    clarity.give(vowel(200, LOUD + 3), voiced, begins=True)

    np.testing.assert_array_equal(clarity.give(vowel(200), voiced, begins=True), clear(vowel(200)))


@given(st.lists(st.integers(0, 60), max_size=5))
@settings(max_examples=20, deadline=None)
def test_cutting_changes_nothing(cuts: list[int]) -> None:
    random = np.random.default_rng(2)
    envelope = random.normal(-5, 1.5, (60, BANDS)).astype(np.float32)
    voicing = random.uniform(0, 1, 60).astype(np.float32)
    whole = Clarity().give(envelope, voicing, begins=True)

    clarity = Clarity()
    edges = [0, *sorted(cuts), 60]
    parts = [clarity.give(envelope[a:b], voicing[a:b], begins=a == 0) for a, b in itertools.pairwise(edges)]

    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
