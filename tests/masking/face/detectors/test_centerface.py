import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from masking.errors import ModelError
from masking.evaluation.detection import iou_matrix
from masking.face.detectors.centerface import NMS_BLOCK, CenterFace, suppress, to_input
from masking.types import Faces


def upright(hopper: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(hopper, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_finds_the_one_face_of_a_photo_with_its_features_inside(detector: CenterFace, hopper: bytes) -> None:
    faces = detector(upright(hopper), 0.2)
    assert len(faces) == 1
    x1, y1, x2, y2 = faces.boxes[0]
    right_eye, left_eye, nose, right_mouth, left_mouth = faces.landmarks[0]
    assert (faces.landmarks[0] > [x1, y1]).all()
    assert (faces.landmarks[0] < [x2, y2]).all()
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < right_mouth[1]
    assert right_mouth[0] < left_mouth[0]


@pytest.mark.parametrize("pad", [(1, 0), (0, 31), (17, 5)])
def test_sides_that_are_no_multiple_of_32_move_nothing(
    detector: CenterFace, hopper: bytes, pad: tuple[int, int]
) -> None:
    pixels = upright(hopper)
    padded = cv2.copyMakeBorder(pixels, 0, pad[0], 0, pad[1], cv2.BORDER_CONSTANT)
    assert detector(padded, 0.2).boxes[0] == pytest.approx(detector(pixels, 0.2).boxes[0], abs=2)


def test_nothing_is_found_in_nothing(detector: CenterFace) -> None:
    assert len(detector(np.full((70, 90, 3), 127, np.uint8), 0.2)) == 0


def test_a_lower_threshold_never_finds_less(detector: CenterFace, hopper: bytes) -> None:
    pixels = upright(hopper)
    counts = [len(detector(pixels, threshold)) for threshold in (0.8, 0.4, 0.2, 0.05)]
    assert counts == sorted(counts)


class _Fixed:
    """A graph with fixed outputs, as a damaged model file could have."""

    def __init__(self, *maps: np.ndarray) -> None:
        self.maps = maps

    def run(self, names: object, feed: object) -> tuple[np.ndarray, ...]:
        return self.maps


def maps(side: int = 16) -> list[np.ndarray]:
    return [np.zeros((1, channels, side, side), np.float32) for channels in (1, 2, 2, 10)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("broken", range(4))
def test_output_that_is_not_finite_is_no_answer(broken: int, value: float) -> None:
    outputs = maps()
    outputs[broken][0, 0, 3, 3] = value
    with pytest.raises(ModelError, match="finite"):
        CenterFace(_Fixed(*outputs))(np.zeros((64, 64, 3), np.uint8), 0.2)


def test_output_whose_squares_are_not_finite_is_an_answer() -> None:
    outputs = maps()
    outputs[3][0, 0, 3, 3] = 1e30
    assert len(CenterFace(_Fixed(*outputs))(np.zeros((64, 64, 3), np.uint8), 0.2)) == 0


def test_output_of_another_shape_is_no_answer() -> None:
    with pytest.raises(ModelError, match="shape"):
        CenterFace(_Fixed(*maps(side=8)))(np.zeros((64, 64, 3), np.uint8), 0.2)


def test_a_graph_that_raises_is_a_model_error() -> None:
    class Raises:
        def run(self, names: object, feed: object) -> list[np.ndarray]:
            raise RuntimeError("out of memory")

    with pytest.raises(ModelError, match="RuntimeError"):
        CenterFace(Raises())(np.zeros((64, 64, 3), np.uint8), 0.2)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70), st.just(3))))
def test_the_input_is_the_picture_with_black_to_the_right_and_below(pixels: np.ndarray) -> None:
    picture = to_input(pixels)
    height, width = pixels.shape[:2]
    assert picture.shape[1] % 32 == picture.shape[2] % 32 == 0
    assert (picture[0, :height, :width] == pixels).all()
    assert picture.sum() == pixels.sum()


boxes = hnp.arrays(np.float32, st.tuples(st.integers(0, 12), st.just(4)), elements=st.floats(0, 100, width=32))


@given(boxes, st.randoms(use_true_random=False))
def test_suppression_keeps_the_surest_of_each_heap(raw: np.ndarray, random: object) -> None:
    low, size = raw[:, :2], raw[:, 2:] / 4 + 1
    scores = np.linspace(1, 0.5, len(raw), dtype=np.float32)
    faces = Faces(np.hstack([low, low + size]), scores, np.zeros((len(raw), 5, 2), np.float32))
    kept = suppress(faces, 0.3)
    assert len(kept) <= len(faces)
    assert (np.diff(kept.scores) <= 0).all()
    if len(faces):
        assert kept.scores[0] == faces.scores[0]
    again = suppress(kept, 0.3)
    assert (again.boxes == kept.boxes).all()


def test_of_many_boxes_each_that_no_surer_kept_one_overlaps_is_kept() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 300, (400, 2))
    scores = rng.random(400).astype(np.float32)
    faces = Faces(np.hstack([low, low + 40]).astype(np.float32), scores, np.zeros((400, 5, 2), np.float32))
    expected: list[int] = []
    for face in np.argsort(-scores):
        if (iou_matrix(faces.boxes[face], faces.boxes[expected]) < 0.3).all():
            expected.append(int(face))

    assert len(expected) > NMS_BLOCK
    assert (suppress(faces, 0.3).scores == scores[expected]).all()
