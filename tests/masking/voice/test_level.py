import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from masking.voice.level import Leveller, limited


def noise(seconds: float, loudness: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=int(16_000 * seconds)) * loudness).astype(np.float32)


def levelled(dry: np.ndarray, wet: np.ndarray, cuts: list[int]) -> np.ndarray:
    leveller = Leveller()
    pieces = zip(np.split(dry, sorted(cuts)), np.split(wet, sorted(cuts)), strict=True)
    return np.concatenate([*(leveller.feed(*piece) for piece in pieces), leveller.finish()])


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


def test_masked_speech_is_as_loud_as_the_speech() -> None:
    dry = np.concatenate([noise(3, 0.1), noise(3, 0.02)])
    out = levelled(dry, noise(6, 0.05, seed=1), [])
    for second in (2, 5):
        part = slice(16_000 * second, 16_000 * (second + 1))
        assert abs(np.log10(rms(out[part]) / rms(dry[part]))) < 0.1


def test_silence_before_the_masker_speaks_makes_it_no_louder() -> None:
    dry, wet = noise(2, 0.1), noise(2, 0.1, seed=1)
    wet[:16_000] = 0
    out = levelled(dry, wet, [])
    assert not out[:16_000].any()
    assert rms(out[16_000:18_000]) < 0.15


def test_a_pause_is_not_filled() -> None:
    dry = np.concatenate([noise(2, 0.1), noise(1, 0.001)])
    out = levelled(dry, np.concatenate([noise(2, 0.1, seed=1), noise(1, 0.05, seed=1)]), [])
    assert rms(out[40_000:]) < 0.003


@given(st.lists(st.integers(0, 8000), max_size=8))
def test_cutting_changes_nothing(cuts: list[int]) -> None:
    dry, wet = noise(0.5, 0.1), noise(0.5, 0.3, seed=1)
    np.testing.assert_array_equal(levelled(dry, wet, cuts), levelled(dry, wet, []))


def test_peaks_are_bent_and_the_rest_is_as_it_was() -> None:
    samples = np.linspace(-5, 5, 1001).astype(np.float32)
    out = limited(samples)
    quiet = np.abs(samples) <= 0.8
    np.testing.assert_array_equal(out[quiet], samples[quiet])
    assert np.abs(out).max() <= 1
    assert (np.diff(out) >= 0).all()
