import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.voice.resample import Block, Resampler, Stretcher
from masking.voice.types import RATE

RATES = (8_000, 11_025, 22_050, 24_000, 37_800, 44_100, 48_000)


def resampled(samples: Block, source: int, target: int, length: int, cuts: list[int]) -> Block:
    resampler = Resampler(source, target, samples.shape[1])
    out = [resampler.feed(piece) for piece in np.split(samples, sorted(cuts))]
    return np.concatenate([*out, resampler.finish(length)])


def chirp(rate: int, count: int, top: float) -> np.ndarray:
    """A tone that rises from 100 Hz to ``top``, faded in and out."""
    seconds = np.arange(count) / rate
    whole = 0.5
    phase = 2 * np.pi * (100 * seconds + (top - 100) / (2 * whole) * seconds**2)
    return (np.sin(phase) * np.clip(np.sin(np.pi * seconds / whole), 0, 1) ** 2).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_a_chirp_stays_in_its_place(rate: int) -> None:
    count, inside, top = rate // 2, RATE // 2, 0.4 * min(rate, RATE)
    original = chirp(rate, count, top)
    inwards = resampled(original[:, None], rate, RATE, inside, [])
    assert np.abs(inwards[:, 0] - chirp(RATE, inside, top)).max() < 2e-3
    outwards = resampled(inwards, RATE, rate, count, [])
    assert outwards.shape == (count, 1)
    assert np.abs(outwards[:, 0] - original).max() < 4e-3


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    high = np.sin(2 * np.pi * 10_000 * np.arange(44_100) / 44_100).astype(np.float32)
    assert np.abs(resampled(high[:, None], 44_100, RATE, RATE, [])[200:-200]).max() < 1e-3


@given(
    rate=st.sampled_from(RATES),
    count=st.integers(1, 3000),
    cuts=st.lists(st.integers(0, 3000), max_size=12),
    seed=st.integers(0, 99),
)
def test_cutting_changes_nothing_and_the_length_is_exact(rate: int, count: int, cuts: list[int], seed: int) -> None:
    samples = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    inside = -(-count * RATE // rate)
    there = resampled(samples, rate, RATE, inside, [])
    assert there.shape == (inside, 2)
    np.testing.assert_array_equal(resampled(samples, rate, RATE, inside, cuts), there)
    back = resampled(there, RATE, rate, count, [])
    assert back.shape == (count, 2)
    np.testing.assert_array_equal(resampled(there, RATE, rate, count, cuts), back)


@given(rate=st.sampled_from((*RATES, RATE)), cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_a_curve_is_stretched_in_straight_lines(rate: int, cuts: list[int]) -> None:
    curve = np.clip(np.sin(np.arange(1000) / 40) * 2, 0, 1).astype(np.float32)
    count = 1000 * rate // RATE
    stretcher = Stretcher(RATE, rate)
    pieces = [stretcher.feed(piece) for piece in np.split(curve, sorted(cuts))]
    stretched = np.concatenate([*pieces, stretcher.finish(count)])
    expected = np.interp(np.arange(count) * RATE / rate, np.arange(1000), curve)
    np.testing.assert_allclose(stretched, expected, atol=1e-5)
    assert stretched[expected == 1].min() == 1
