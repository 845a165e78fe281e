"""The contract that every style keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.face.maskers import FIGURATIVE, MASKERS
from masking.face.region import Placed, regions
from masking.types import Faces

SHAPES = [(), (2,), (3,), (4,)]


def placed(height: int, width: int, face_px: float, draw: int = 0) -> Placed:
    """A face in the middle of a patch, its landmarks unknown."""
    half = np.array([face_px / 2, face_px * 0.6])
    middle = np.array([width / 2, height / 2])
    box = np.concatenate([middle - half, middle + half]).astype(np.float32)
    inside = np.zeros((height, width), bool)
    inside[height // 5 : -(height // 5) or None, width // 5 : -(width // 5) or None] = True
    return Placed(face_px, box, np.zeros((5, 2), np.float32), inside, ~inside, draw)


@st.composite
def patches(draw: st.DrawFn) -> tuple[np.ndarray, Placed]:
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    channels, dtype = draw(st.sampled_from(SHAPES)), draw(st.sampled_from([np.uint8, np.uint16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    patch = rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype, endpoint=True)
    # Few different people, since each is drawn when first wanted.
    return patch, placed(height, width, draw(st.floats(1, 80)), draw(st.integers(0, 3)))


@pytest.mark.parametrize("style", MASKERS)
@settings(deadline=None)  # a person is drawn when first wanted
@given(patches())
def test_a_style_gives_a_new_patch_of_the_same_form(style: str, drawn: tuple[np.ndarray, Placed]) -> None:
    patch, face = drawn
    before = patch.copy()
    has_alpha = patch.ndim == 3 and patch.shape[2] in (2, 4)
    masked = MASKERS[style](patch, face, has_alpha=has_alpha)
    assert (masked.shape, masked.dtype) == (patch.shape, patch.dtype)
    assert (patch == before).all()
    assert not np.shares_memory(masked, patch)


@pytest.mark.parametrize("style", [style for style in MASKERS if style not in FIGURATIVE])
@pytest.mark.parametrize("size", [24, 96, 400])
def test_a_style_takes_fine_detail_away_at_every_size(style: str, size: int) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.uniform(60, 200, (12, 12, 3)).repeat(size // 12, 0).repeat(size // 12, 1).astype(np.uint8)
    masked = MASKERS[style](coarse, placed(*coarse.shape[:2], len(coarse) / 1.5), has_alpha=False)
    edges = np.abs(np.diff(coarse.astype(int), axis=1)).mean()
    assert np.abs(np.diff(masked.astype(int), axis=1)).mean() < 0.4 * edges


@pytest.mark.parametrize("channels", [2, 4])
def test_solid_is_the_same_for_everybody_and_opaque(channels: int) -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 255, (20, 30, channels), np.uint8) for _ in range(2))
    masked = [MASKERS["solid"](patch, placed(20, 30, 20), has_alpha=True) for patch in (one, other)]
    assert (masked[0] == masked[1]).all()
    assert (masked[0][..., -1] == 255).all()
    assert (masked[0][..., :-1] == 0).all()


@pytest.mark.parametrize("style", MASKERS)
def test_a_style_works_for_a_face_that_the_picture_cuts(style: str) -> None:
    faces = Faces(np.array([[-30, 40, 30, 110]], np.float32), np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32))
    picture = np.full((100, 90, 3), 120, np.uint8)
    (region,) = regions(faces, 90, 100)
    patch = picture[region.rows, region.columns]
    assert MASKERS[style](patch, region.face, has_alpha=False).shape == patch.shape
