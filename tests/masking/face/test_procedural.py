from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.procedural import CONDITIONS, Capture, Identity, Rendered, Scene, mosaic, portrait, render

FRONTAL = replace(
    Capture.draw(np.random.default_rng(0)), yaw=0.0, pitch=0.0, roll=0.0, light_azimuth=0.0, key=0.9, ambient=0.45
)
FEW = settings(max_examples=12, deadline=None)
SEEDS = st.integers(0, 2**31)


def person(seed: int) -> Identity:
    return Identity.draw(np.random.default_rng(seed))


def capture(seed: int) -> Capture:
    return Capture.draw(np.random.default_rng(seed))


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def aligned(shown: Rendered) -> NDArray[np.float32]:
    """The face with its eyes and mouth in fixed places, without regard to brightness."""
    template = np.array([[16, 20], [32, 20], [24, 30], [18, 38], [30, 38]], np.float32)
    matrix = cv2.estimateAffinePartial2D(shown.landmarks, template)[0]
    face = cv2.warpAffine(shown.pixels, matrix, (48, 56)).astype(np.float32)
    return (face - face.mean()) / face.std()


@FEW
@given(SEEDS, SEEDS, st.integers(6, 140))
def test_a_face_lies_inside_its_picture_and_its_landmarks_inside_its_box(who: int, how: int, size: int) -> None:
    shown = render(person(who), capture(how), size)
    height, width = shown.alpha.shape
    x1, y1, x2, y2 = shown.box
    assert shown.pixels.shape == (height, width, 3)
    assert height == width == 2 * size
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert 0.6 * size < y2 - y1 < 1.4 * size
    assert np.all(shown.landmarks >= shown.box[:2])
    assert np.all(shown.landmarks <= shown.box[2:])
    assert shown.alpha.min() >= 0
    assert shown.alpha.max() <= 1
    assert shown.alpha[int((y1 + y2) / 2), int((x1 + x2) / 2)] > 0.99


@FEW
@given(SEEDS)
def test_landmarks_keep_their_order_on_an_upright_face(who: int) -> None:
    right_eye, left_eye, nose, right_mouth, left_mouth = render(person(who), FRONTAL, 60).landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < nose[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@pytest.mark.parametrize(
    ("name", "value", "landmark", "axis", "sign"),
    [("yaw", 25.0, 2, 0, 1), ("yaw", -25.0, 2, 0, -1), ("pitch", 15.0, 2, 1, 1), ("pitch", -15.0, 2, 1, -1)],
)
def test_the_nose_goes_where_the_head_turns(name: str, value: float, landmark: int, axis: int, sign: int) -> None:
    def forward(how: Capture) -> float:
        points = render(person(3), how, 60).landmarks
        return float(points[landmark, axis] - points[[0, 1, 3, 4], axis].mean())

    assert sign * (forward(replace(FRONTAL, **{name: value})) - forward(FRONTAL)) > 2


def test_a_positive_roll_turns_the_head_clockwise() -> None:
    right_eye, left_eye, *_ = render(person(3), replace(FRONTAL, roll=12.0), 60).landmarks
    assert left_eye[1] > right_eye[1]


def test_the_same_person_and_capture_give_the_same_pixels() -> None:
    first, again = (portrait(person(1), capture(2), 80) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.box, again.box)
    other = portrait(person(1), capture(3), 80)
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_drawn_person_has_every_trait_within_its_range() -> None:
    for seed in range(20):
        for each in (person(seed), capture(seed)):
            for trait in fields(each):
                if trait.metadata and trait.name != "hair_shade":
                    assert trait.metadata["low"] <= getattr(each, trait.name) <= trait.metadata["high"]


def test_people_differ_more_than_pictures_of_one_of_them() -> None:
    faces = [[aligned(portrait(person(p), capture(100 * p + c), 96)) for c in range(3)] for p in range(10)]
    same = [np.abs(a - b).mean() for mine in faces for i, a in enumerate(mine) for b in mine[i + 1 :]]
    other = [
        np.abs(a - b).mean() for i, mine in enumerate(faces) for more in faces[i + 1 :] for a in mine for b in more
    ]
    assert np.mean(other) > 1.05 * np.mean(same)


@pytest.mark.parametrize("style", ["short", "fringe", "curly", "receding", "long", "bald"])
def test_a_real_detector_finds_each_style_of_hair_where_the_box_is(style: str, detector: CenterFace) -> None:
    for seed in range(3):
        shown = portrait(replace(person(seed), hair_style=style), capture(seed), 128)
        found = detector(shown.pixels, 0.2)
        assert len(found) >= 1
        assert max(iou(shown.box, box) for box in found.boxes) > 0.6


def test_a_face_too_small_to_show_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="4 pixels"):
        render(person(0), FRONTAL, 3.9)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    rng = np.random.default_rng(4)
    people = [Identity.draw(rng) for _ in range(8)]
    return [mosaic(rng, people, (320, 240)) for _ in range(14)]


def test_boxes_and_landmarks_of_a_scene_lie_inside_it(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.pixels.shape == (240, 320, 3)
        assert scene.pixels.dtype == np.uint8
        assert scene.condition in CONDITIONS
        for face in scene.faces:
            assert 0 <= face.box[0] < face.box[2] <= 320
            assert 0 <= face.box[1] < face.box[3] <= 240
            assert 7 < face.box[3] - face.box[1] < 0.7 * 240
            assert np.all(face.landmarks >= face.box[:2])
            assert np.all(face.landmarks <= face.box[2:])


def test_no_face_of_a_scene_hides_another_and_nobody_is_there_twice(scenes: list[Scene]) -> None:
    for scene in scenes:
        people = [face.person for face in scene.faces]
        assert len(set(people)) == len(people)
        for i, face in enumerate(scene.faces):
            assert all(iou(face.box, other.box) < 0.05 for other in scene.faces[i + 1 :])


def test_scenes_differ_in_number_of_faces_and_some_show_nobody(scenes: list[Scene]) -> None:
    counts = {len(scene.faces) for scene in scenes}
    assert 0 in counts
    assert len(counts) >= 4


def test_a_real_detector_finds_the_faces_of_scenes_and_nothing_else(scenes: list[Scene], detector: CenterFace) -> None:
    found_faces = faces = alarms = 0
    for scene in scenes:
        found = detector(scene.pixels, 0.2).boxes
        hits = [max((iou(face.box, box) for box in found), default=0.0) >= 0.5 for face in scene.faces]
        large = [face.box[3] - face.box[1] >= 20 for face in scene.faces]
        found_faces += sum(hit for hit, counts in zip(hits, large, strict=True) if counts)
        faces += sum(large)
        alarms += max(0, len(found) - sum(hits))
    assert found_faces >= 0.95 * faces
    assert alarms <= 2


def test_a_scene_can_be_drawn_without_people() -> None:
    scene = mosaic(np.random.default_rng(1), [], (64, 48))
    assert scene.faces == ()
    assert scene.pixels.shape == (48, 64, 3)
