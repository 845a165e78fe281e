import numpy as np
import pytest

from masking.evaluation.shows import uncovered
from masking.types import Faces


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    n = len(boxes)
    return Faces(
        np.array(boxes, np.float32).reshape(n, 4), np.linspace(0.9, 0.5, n, dtype=np.float32),
        np.zeros((n, 5, 2), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("masks", "shows"),
    [
        ([], [True, True]),
        ([(0, 0, 100, 100)], [False, True]),
        ([(0, 0, 100, 100), (300, 300, 420, 420)], [False, False]),
        # A sliver of a mask covers nobody; half of one does.
        ([(90, 0, 200, 100)], [True, True]),
        ([(50, 0, 200, 100)], [False, True]),
        # Two slivers do not add up.
        ([(80, 0, 200, 100), (0, 0, 20, 100)], [True, True]),
    ],
)
def test_a_face_shows_where_no_mask_covers_it(masks: list[tuple[float, ...]], shows: list[bool]) -> None:
    found = faces((0, 0, 100, 100), (300, 300, 400, 400))
    left = uncovered(found, np.array(masks, np.float32))
    assert left.boxes.tolist() == found.boxes[np.array(shows)].tolist()


def test_no_faces_show_nothing() -> None:
    assert len(uncovered(faces(), np.zeros((3, 4), np.float32))) == 0
