import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.face.cover import cover, draws
from masking.face.maskers import MASKERS
from masking.types import Faces

KEY = b"sixteen bytes..."


def faces(*rows: tuple[float, float, float, float]) -> Faces:
    n = len(rows)
    return Faces(np.array(rows, np.float32).reshape(n, 4), np.ones(n, np.float32), np.zeros((n, 5, 2), np.float32))


def picture(seed: int = 0, *channels: int, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (90, 120, *channels), dtype, endpoint=True)


@pytest.mark.parametrize("style", MASKERS)
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_only_what_is_touched_changes_and_nothing_of_it_stays(style: str, channels: tuple[int, ...], dtype) -> None:
    pixels = picture(1, *channels, dtype=dtype)
    before = pixels.copy()
    masked, touched = cover(pixels, faces((30, 20, 60, 56)), style, [5])
    assert (pixels == before).all()
    assert (masked.shape, masked.dtype) == (pixels.shape, pixels.dtype)
    assert touched.shape == pixels.shape[:2]
    assert touched[20:56, 30:60].all()
    assert (masked[~touched] == pixels[~touched]).all()
    assert (masked[touched] == pixels[touched]).mean() < 0.1


@pytest.mark.parametrize("style", MASKERS)
def test_without_faces_the_picture_stays(style: str) -> None:
    pixels = picture(2, 3)
    masked, touched = cover(pixels, Faces.none(), style, [])
    assert (masked == pixels).all()
    assert not touched.any()
    assert masked is not pixels


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(5, 90), st.floats(5, 60), st.floats(4, 30)), min_size=2, max_size=4))
@pytest.mark.parametrize("style", ["solid", "surrogate"])
def test_where_masks_overlap_nothing_behind_any_of_them_comes_back(style: str, drawn: list) -> None:
    rows = [(x, y, x + side, y + side) for x, y, side in drawn]
    found = faces(*rows)
    scene = picture(3, 3)
    _, touched = cover(scene, found, style, [0] * len(rows))
    shown = []
    for behind in (90, 150):
        scene[touched] = behind
        shown.append(cover(scene, found, style, [0] * len(rows))[0][touched])
    assert (shown[0] == shown[1]).all()


def test_each_of_two_surrogates_keeps_the_middle_of_its_own_mask() -> None:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    rows = ((40, 40, 70, 78), (72, 44, 104, 84))
    both, _ = cover(pixels, faces(*rows), "surrogate", [0, 1])
    for index, (x1, y1, x2, y2) in enumerate(rows):
        alone, _ = cover(pixels, faces(rows[index]), "surrogate", [index])
        middle = slice(y1 + 8, y2 - 8), slice(x1 + 8, x2 - 8)
        assert (both[middle] == alone[middle]).all()


def test_unknown_styles_and_missing_draws_are_refused() -> None:
    with pytest.raises(KeyError):
        cover(picture(4, 3), faces((10, 10, 30, 30)), "none", [0])
    with pytest.raises(ValueError, match="argument"):
        cover(picture(4, 3), faces((10, 10, 30, 30)), "solid", [])


def test_draws_are_those_of_the_key_alone() -> None:
    drawn = draws(KEY, range(200))
    assert drawn == draws(KEY, range(200))
    assert draws(KEY, [7]) == [drawn[7]]
    assert len(set(drawn)) == 200
    assert all(0 <= number < 2**64 for number in drawn)
    assert not set(drawn) & set(draws(KEY[::-1], range(200)))


def overlapping(*scores: float) -> Faces:
    """A face, and a larger box about the same head."""
    both = faces((40, 40, 70, 78), (30, 36, 84, 96))
    return Faces(both.boxes, np.array(scores, np.float32), both.landmarks)


@pytest.mark.parametrize(("second", "alone"), [(0.3, True), (0.8, False)])
def test_a_second_look_at_a_face_does_not_hide_its_surrogate_and_a_second_face_does(second: float, alone: bool) -> None:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    both, touched = cover(pixels, overlapping(0.9, second), "surrogate", [0, 1])
    one, _ = cover(pixels, overlapping(0.9, second)[:1], "surrogate", [0])
    assert (both[44:74, 42:68] == one[44:74, 42:68]).all() == alone
    assert touched[36:96, 30:84].all()
    assert cover(pixels, overlapping(0.9, second), "solid", [0, 1])[0][touched].max() == 0


def test_the_ground_of_a_second_look_says_nothing_of_who_is_behind() -> None:
    shown = []
    for behind in (60, 200):
        pixels = np.full((120, 160, 3), 128, np.uint8)
        touched = cover(pixels, overlapping(0.9, 0.3), "surrogate", [0, 1])[1]
        pixels[touched] = behind
        shown.append(cover(pixels, overlapping(0.9, 0.3), "surrogate", [0, 1])[0][touched])
    assert (shown[0] == shown[1]).all()
