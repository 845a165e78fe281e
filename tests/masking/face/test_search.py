from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.face.detectors.centerface import CenterFace
from masking.face.fusion import fitted, fuse
from masking.face.passes import Pass, look
from masking.face.search import EFFORTS, PASSES, looks, search
from masking.face.tiles import MAX_PIXELS
from masking.types import Faces


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return float(shared / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared))


@pytest.fixture(scope="module")
def face(photo_pixels: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.resize(photo_pixels, (256, 300), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_one_face_of_a_photo_is_found_once(detector: CenterFace, face: np.ndarray, effort: str) -> None:
    found = search(face, detector, 0.2, effort)
    assert len(found) == 1
    assert overlap(found.boxes[0], detector(face, 0.2).boxes[0]) > 0.7


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("scale", [0.75, 1.0, 1.5])
@pytest.mark.parametrize("quarters", range(4))
def test_a_pass_tells_the_face_where_it_is_in_the_picture_given(
    detector: CenterFace, face: np.ndarray, quarters: int, scale: float, mirrored: bool
) -> None:
    given_turned = np.ascontiguousarray(np.rot90(face, -quarters))
    plain = detector(face, 0.2)
    found = look(given_turned, detector, Pass(scale, quarters, mirrored), 0.2)
    height, width = face.shape[:2]
    where: Callable[[float, float], tuple[float, float]] = (
        lambda x, y: (x, y),
        lambda x, y: (height - y, x),
        lambda x, y: (width - x, height - y),
        lambda x, y: (y, width - x),
    )[quarters]
    corners = np.array([where(x, y) for x, y in plain.boxes[0].reshape(2, 2)])
    expected = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    assert overlap(found.boxes[0], expected) > 0.6
    features = np.array([where(x, y) for x, y in plain.landmarks[0]])
    side = expected[2] - expected[0]
    assert np.abs(found.landmarks[0] - features).max() < 0.15 * side


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_face_is_found(detector: CenterFace, face: np.ndarray, quarters: int) -> None:
    assert len(search(np.ascontiguousarray(np.rot90(face, quarters)), detector, 0.2, "thorough")) == 1


def test_a_face_as_large_as_the_picture_is_found(detector: CenterFace, face: np.ndarray) -> None:
    x1, y1, x2, y2 = detector(face, 0.2).boxes[0].astype(int)
    close = cv2.resize(face[max(0, y1 - 8) : y2 + 8, max(0, x1 - 8) : x2 + 8], None, fx=9, fy=9)
    for effort in EFFORTS:
        found = search(np.asarray(close), detector, 0.2, effort)
        assert (
            max(overlap(box, np.array([72, 72, close.shape[1] - 72, close.shape[0] - 72])) for box in found.boxes) > 0.5
        )


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 3000), (2000, 2), (3, 33)])
def test_a_picture_of_any_shape_can_be_searched(detector: CenterFace, size: tuple[int, int], effort: str) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (*size, 3), np.uint8)
    found = search(pixels, detector, 0.05, effort)
    assert (found.boxes[:, :2] >= 0).all()
    assert (found.boxes[:, 2:] <= np.array([size[1], size[0]]) + 1e-3).all()


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_lower_threshold_finds_all_that_a_higher_one_finds(
    detector: CenterFace, face: np.ndarray, effort: str
) -> None:
    small = np.asarray(cv2.resize(face, (64, 75), interpolation=cv2.INTER_AREA), np.uint8)
    crowd = np.tile(small, (3, 4, 1))
    found = [search(crowd, detector, threshold, effort) for threshold in (0.8, 0.4, 0.2, 0.05, 0.01)]
    for fewer, more in pairwise(found):
        assert len(fewer) <= len(more)
        assert (more.boxes[: len(fewer)] == fewer.boxes).all()
    assert (np.diff(found[-1].scores) <= 0).all()


def test_there_is_no_third_effort(detector: CenterFace, face: np.ndarray) -> None:
    with pytest.raises(ValueError, match="thorough, fast"):
        search(face, detector, 0.2, "lazy")


@given(st.integers(1, 30_000), st.integers(1, 30_000), st.sampled_from(EFFORTS))
def test_the_looks_stay_bounded_and_see_every_pixel_once_at_full_size(height: int, width: int, effort: str) -> None:
    pixels = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    chosen = looks(pixels, effort)
    assert Pass() in chosen
    area = height * width
    if area <= MAX_PIXELS / 2.25:
        assert set(PASSES[effort]) <= set(chosen)
    assert sum(shown.area(pixels) for shown in chosen) <= 2 * area + 3.4 * MAX_PIXELS
    assert min(shown.area(pixels) for shown in chosen) <= max(300_001, 0)


candidates = st.lists(
    st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(4, 40), st.floats(4, 40), st.floats(0.01, 1)), max_size=12
)


def faces(drawn: list[tuple[float, ...]]) -> Faces:
    drawn = sorted(drawn, key=lambda each: -each[4])
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in drawn], np.float32).reshape(-1, 4)
    return Faces(boxes, np.array([each[4] for each in drawn], np.float32), np.zeros((len(drawn), 5, 2), np.float32))


@given(st.lists(candidates, min_size=1, max_size=4))
@settings(max_examples=200)
def test_fused_boxes_stay_apart_within_what_was_found_and_less_sure_ones_change_nothing(
    drawn: list[list[tuple[float, ...]]],
) -> None:
    parts = [faces(each) for each in drawn]
    fused = fuse(parts)
    assert (np.diff(fused.scores) <= 0).all()
    assert fused.scores.max(initial=0) == max(part.scores.max(initial=0) for part in parts)
    for index, box in enumerate(fused.boxes):
        assert all(overlap(box, other) < 0.3 + 1e-5 for other in fused.boxes[:index])
    surer = fuse([part[part.scores >= 0.05] for part in parts])
    assert (fused.boxes[: len(surer)] == surer.boxes).all()


def test_boxes_below_the_floor_change_no_bit_of_a_surer_one() -> None:
    sure = faces([(0, 0, 4, 4, 1), (1, 0, 9, 4, 1), (1.1660652518344534, 0, 13, 4, 0.4375)])
    unsure = faces([(0, 0, 4, 4, 0.03125)])
    assert (fuse([sure, unsure]).boxes[: len(fuse([sure]))] == fuse([sure]).boxes).all()


def test_boxes_that_agree_become_one_between_them_weighted_by_score() -> None:
    one, other = faces([(0, 0, 20, 20, 0.9)]), faces([(2, 0, 20, 20, 0.3)])
    fused = fuse([one, other])
    assert fused.scores == pytest.approx([0.9])
    assert fused.boxes[0] == pytest.approx([0.5, 0, 20.5, 20])


@pytest.mark.parametrize(("side", "drawn"), [(10, 11.8), (20, 21.1), (40, 39.7), (100, 95.5)])
def test_small_boxes_grow_and_large_ones_shrink_about_their_middle(side: float, drawn: float) -> None:
    box = fitted(faces([(200, 300, side, side, 0.9)]), 640, 480).boxes[0]
    assert box[2:] - box[:2] == pytest.approx([drawn, drawn], abs=1e-3)
    assert (box[2:] + box[:2]) / 2 == pytest.approx([200 + side / 2, 300 + side / 2], abs=1e-3)


@given(candidates)
def test_fitted_boxes_stay_in_the_picture_with_their_scores(drawn: list[tuple[float, ...]]) -> None:
    found = faces(drawn)
    told = fitted(found, 50, 60)
    assert (told.boxes >= 0).all()
    assert (told.boxes <= np.array([50, 60, 50, 60])).all()
    assert (told.scores == found.scores).all()
    assert (told.landmarks == found.landmarks).all()
