from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.media.video_colour import Colour
from masking.media.video_frame import VideoFrame, View
from masking.media.video_layout import NATIVE, native
from masking.media.video_turn import Turn

TURNS = [Turn(t, r, c) for t in (False, True) for r in (False, True) for c in (False, True)]


def planes(picture, layout):
    kind = np.uint16 if layout.bits > 8 else np.uint8
    return [np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width] for plane in picture.planes]


def noise(layout, width, height, seed=0):
    picture = av.VideoFrame(width, height, layout.name)
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    rng = np.random.default_rng(seed)
    for plane in planes(picture, layout):
        plane[...] = rng.integers(60 << layout.bits - 8, 180 << layout.bits - 8, plane.shape)
    return picture


def frame_of(layout, turn=None, width=34, height=22, full=False, matrix=5):
    turn = turn or Turn()
    view = View(layout, turn, Colour(matrix, full or layout.full))
    return VideoFrame(noise(layout, width, height), view, 0, 0.0)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_turn_read_from_its_matrix_is_itself_and_can_be_undone(turn):
    stored = np.arange(15).reshape(3, 5)

    assert Turn.of(turn.matrix) == turn
    assert np.array_equal(turn.stored(turn.upright(stored)), stored)
    height, width = turn.upright(stored).shape
    assert turn.size(5, 3) == (width, height)
    down, across = turn.stored_span(slice(1, 3), slice(0, 2), width, height)
    assert np.array_equal(turn.upright(stored[down, across]), turn.upright(stored)[1:3, 0:2])


@pytest.mark.parametrize("layout", NATIVE.values(), ids=lambda layout: layout.name)
@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_only_what_is_inside_changes_and_the_chroma_that_it_shares(layout, turn):
    frame = frame_of(layout, turn, 33 if layout.across == 1 else 34, 21)
    before = [plane.copy() for plane in planes(frame.picture, layout)]
    rows, columns = slice(3, 14), slice(5, 12)
    inside = np.zeros((11, 7), bool)
    inside[2:9, 1:6] = True
    inside[0, 0] = True

    frame.put(rows, columns, np.full((11, 7, 3), (255, 235, 250), np.uint8), inside)

    whole = np.zeros((frame.height, frame.width), bool)
    whole[rows, columns] = inside
    stored = turn.stored(whole)
    after = planes(frame.picture, layout)
    assert np.array_equal(after[0] != before[0], stored)
    for old, new in zip(before[1:], after[1:], strict=True):
        touched = np.zeros(new.shape, bool)
        y, x = np.nonzero(stored)
        touched[y // layout.down, x // layout.across] = True
        assert np.array_equal(new[~touched], old[~touched])
        assert len(np.unique(new[touched])) == 1
    assert not layout.is_grey or frame.patch(rows, columns)[3, 3].std() == 0


@pytest.mark.parametrize("layout", NATIVE.values(), ids=lambda layout: layout.name)
def test_a_colour_that_is_put_is_seen_again(layout):
    frame = frame_of(layout)
    colour = (90, 90, 90) if layout.is_grey else (200, 40, 120)
    rgb = np.full((8, 10, 3), colour, np.uint8)

    frame.put(slice(4, 12), slice(6, 16), rgb, np.ones((8, 10), bool))

    assert np.abs(frame.patch(slice(4, 12), slice(6, 16)).astype(int) - rgb).max() <= 2
    seen = frame.rgb()[6:10, 8:14].astype(int)
    assert np.abs(seen - colour).max() <= 4


@pytest.mark.parametrize("matrix", [1, 5, 7, 9])
@pytest.mark.parametrize("full", [False, True])
def test_patch_and_scaler_agree_on_what_the_samples_mean(matrix, full):
    frame = frame_of(NATIVE["yuv444p"], matrix=matrix, full=full)

    difference = frame.patch(slice(0, 22), slice(0, 34)).astype(int) - frame.rgb()

    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le"])
def test_luma_rgb_and_patch_lie_upright(turn, name):
    layout = NATIVE[name]
    frame = frame_of(layout, turn)
    marked = np.zeros((frame.height, frame.width), bool)
    marked[:6, :8] = True
    frame.fill(slice(0, frame.height), slice(0, frame.width), np.ones_like(marked))
    frame.put(slice(0, 6), slice(0, 8), np.full((6, 8, 3), 255, np.uint8), np.ones((6, 8), bool))

    assert np.array_equal(frame.luma > 128, marked)
    assert np.array_equal(frame.rgb()[:, :, 1] > 128, marked)
    assert frame.rgb(0.5).shape == (round(frame.height * 0.5), round(frame.width * 0.5), 3)
    assert frame.rgb(0.001).shape == (1, 1, 3)


@pytest.mark.parametrize("layout", NATIVE.values(), ids=lambda layout: layout.name)
@pytest.mark.parametrize("full", [False, True])
def test_filled_and_blackened_pixels_are_black(layout, full):
    frame = frame_of(layout, full=full)
    inside = np.zeros((9, 9), bool)
    inside[1:8, 2:7] = True

    frame.fill(slice(5, 14), slice(3, 12), inside)
    assert frame.patch(slice(5, 14), slice(3, 12))[inside].max() <= 1

    frame.blacken()
    assert frame.rgb().max() <= 1


@given(
    top=st.integers(0, 20), left=st.integers(0, 32), height=st.integers(1, 21), width=st.integers(1, 33), data=st.data()
)
@settings(max_examples=40, deadline=None)
def test_filling_any_shape_leaves_no_chroma_of_it(top, left, height, width, data):
    layout = NATIVE["yuv420p"]
    turn = data.draw(st.sampled_from(TURNS))
    frame = frame_of(layout, turn, 33, 21)
    rows, columns = slice(top, min(top + height, frame.height)), slice(left, min(left + width, frame.width))
    shape = frame.patch(rows, columns).shape[:2]
    if 0 in shape:
        return
    inside = np.random.default_rng(top).random(shape) < 0.3

    frame.fill(rows, columns, inside)

    assert frame.patch(rows, columns)[inside].max(initial=0) <= 1


def test_what_was_looked_at_before_a_patch_is_put_stays_as_it_was():
    frame = frame_of(NATIVE["yuv420p"])
    luma = frame.luma
    seen = luma.copy()
    decoded = frame.picture

    frame.put(slice(0, 22), slice(0, 34), np.zeros((22, 34, 3), np.uint8), np.ones((22, 34), bool))

    assert np.array_equal(luma, seen)
    assert frame.luma.max() == 16
    assert np.array_equal(planes(decoded, NATIVE["yuv420p"])[0], seen)


def test_a_frame_that_was_given_unpainted_shows_nothing_of_what_is_filled_later():
    frame = frame_of(NATIVE["yuv420p"])
    seen = frame.luma.copy()
    before = frame.unpainted()

    frame.fill(slice(0, 22), slice(0, 34), np.ones((22, 34), bool))

    assert frame.luma.max() == 16
    assert np.array_equal(before.luma, seen)


def test_a_large_area_is_filled_to_its_last_row():
    width, height = 1000, 300
    frame = frame_of(NATIVE["yuv420p"], width=width, height=height)
    inside = np.random.default_rng(1).random((height, width)) < 0.5
    before = frame.luma.copy()

    frame.fill(slice(0, height), slice(0, width), inside)

    assert (frame.luma[inside] == 16).all()
    assert np.array_equal(frame.luma[~inside], before[~inside])


def test_a_patch_of_another_size_than_its_rectangle_is_refused():
    frame = frame_of(NATIVE["yuv420p"])

    with pytest.raises(ValueError, match="does not fit"):
        frame.put(slice(0, 4), slice(0, 4), np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), bool))


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("yuv420p", "yuv420p"),
        ("nv12", "yuv420p"),
        ("p010le", "yuv420p10le"),
        ("yuva420p", "yuv420p"),
        ("yuva444p10le", "yuv444p10le"),
        ("yuv422p12le", "yuv422p10le"),
        ("yuv440p", "yuv444p"),
        ("yuyv422", "yuv422p"),
        ("rgb24", "yuv444p"),
        ("gbrp10le", "yuv444p10le"),
        ("pal8", "yuv444p"),
        ("gray12le", "gray10le"),
        ("ya8", "gray"),
    ],
)
def test_other_formats_go_to_the_nearest_that_is_painted(name, becomes):
    assert native(name).name == becomes
