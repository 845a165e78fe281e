"""The contract that every style keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.face.maskers import MASKERS

SHAPES = [(), (2,), (3,), (4,)]


@st.composite
def patches(draw: st.DrawFn) -> tuple[np.ndarray, float]:
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    channels, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from([np.uint8, np.uint16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    patch = rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype, endpoint=True)
    return patch, draw(st.floats(1, 80))


@pytest.mark.parametrize("style", MASKERS)
@given(patches())
def test_a_style_gives_a_new_patch_of_the_same_form(style: str, drawn: tuple[np.ndarray, float]) -> None:
    patch, face_px = drawn
    before = patch.copy()
    has_alpha = patch.ndim == 3 and patch.shape[2] in (2, 4)
    masked = MASKERS[style](patch, face_px=face_px, has_alpha=has_alpha)
    assert (masked.shape, masked.dtype) == (patch.shape, patch.dtype)
    assert (patch == before).all()
    assert not np.shares_memory(masked, patch)


@pytest.mark.parametrize("style", MASKERS)
@pytest.mark.parametrize("size", [24, 96, 400])
def test_a_style_takes_fine_detail_away_at_every_size(style: str, size: int) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.uniform(60, 200, (12, 12, 3)).repeat(size // 12, 0).repeat(size // 12, 1).astype(np.uint8)
    masked = MASKERS[style](coarse, face_px=len(coarse) / 1.5, has_alpha=False)
    edges = np.abs(np.diff(coarse.astype(int), axis=1)).mean()
    assert np.abs(np.diff(masked.astype(int), axis=1)).mean() < 0.4 * edges


@pytest.mark.parametrize("channels", [2, 4])
def test_solid_is_the_same_for_everybody_and_opaque(channels: int) -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 255, (20, 30, channels), np.uint8) for _ in range(2))
    masked = [MASKERS["solid"](patch, face_px=20, has_alpha=True) for patch in (one, other)]
    assert (masked[0] == masked[1]).all()
    assert (masked[0][..., -1] == 255).all()
    assert (masked[0][..., :-1] == 0).all()
