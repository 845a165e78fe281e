import math

import numpy as np
import pytest

from masking.evaluation.utility import eye_distance, landmark_error, outside_changed
from masking.types import Faces

FACE = np.array([[40, 50], [60, 50], [50, 60], [43, 70], [57, 70]], np.float32)


def found(*moves: tuple[float, float]) -> Faces:
    points = np.array([FACE + move for move in moves], np.float32).reshape(-1, 5, 2)
    n = len(points)
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1) if n else np.empty((0, 4), np.float32)
    return Faces(boxes, np.ones(n, np.float32), points)


@pytest.mark.parametrize(
    ("faces", "error"),
    [
        (found((0, 0)), 0.0),
        (found((3, 4)), 0.25),
        (found((50, 0), (2, 0), (0, -40)), 0.1),
        (found((11, 0)), None),
        (found(), None),
    ],
    ids=["as it was", "moved", "among others", "elsewhere", "none"],
)
def test_how_far_landmarks_moved_in_distances_of_the_eyes(faces, error):
    assert landmark_error(FACE, faces) == (None if error is None else pytest.approx(error, abs=1e-6))


def test_a_profile_is_measured_by_its_height():
    profile = FACE.copy()
    profile[:2, 0] = 50
    assert eye_distance(profile) == pytest.approx(20)
    assert math.isnan(eye_distance(np.zeros((5, 2), np.float32)))


def test_only_what_changed_beyond_the_masks_counts():
    before = np.zeros((6, 8, 3), np.uint8)
    after, touched = before.copy(), np.zeros((6, 8), bool)
    touched[2:4, 2:4] = True
    after[2:4, 2:4] = 9
    assert outside_changed(before, after, touched) == 0
    after[0, 0, 1] = 1
    after[4, 2] = 1
    assert outside_changed(before, after, touched) == 2
    assert outside_changed(before[..., 1], after[..., 1], touched) == 2
