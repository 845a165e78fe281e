"""A constant beside the sound goes away, and nothing else does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.voice.offset import OffsetFilter
from masking.voice.types import RATE

SECONDS = np.arange(RATE) / RATE


@pytest.mark.parametrize("offset", [0.5, -0.01])
def test_a_constant_goes_from_the_first_sample_on(offset: float) -> None:
    assert not OffsetFilter().feed(np.full((5000, 2), offset, np.float32)).any()


@pytest.mark.parametrize("hertz", [70, 200, 3000])
def test_what_can_be_a_voice_stays(hertz: float) -> None:
    tone = np.sin(2 * np.pi * hertz * SECONDS).astype(np.float32)
    passed = OffsetFilter().feed(tone[:, None] + np.float32(0.3))[:, 0]
    assert np.std(passed[RATE // 2 :]) == pytest.approx(np.std(tone), rel=0.01)
    assert np.corrcoef(passed, tone)[0, 1] > 0.998
    assert abs(passed[RATE // 2 :].mean()) < 1e-3


@given(cuts=st.lists(st.integers(0, 999), max_size=8))
def test_cutting_changes_nothing(cuts: list[int]) -> None:
    samples = np.random.default_rng(0).normal(0.2, 0.1, (1000, 2)).astype(np.float32)
    whole, pieces = OffsetFilter(), OffsetFilter()
    parts = [pieces.feed(part) for part in np.split(samples, sorted(cuts))]
    np.testing.assert_array_equal(np.concatenate(parts), whole.feed(samples))
