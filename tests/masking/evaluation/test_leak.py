import math

import numpy as np
import pytest

from masking.evaluation.leak import leak, reference_tracks
from masking.types import Faces


def faces(*boxes: tuple[float, float, float, float]) -> Faces:
    n = len(boxes)
    return Faces(
        np.array(boxes, np.float32).reshape(-1, 4), np.full(n, 0.9, np.float32), np.zeros((n, 5, 2), np.float32)
    )


def moving(at: int, row: float = 10) -> tuple[float, float, float, float]:
    return (10 + at, row, 30 + at, row + 20)


def mask(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    inside = np.zeros((80, 80), bool)
    for x1, y1, x2, y2 in boxes:
        inside[int(y1) : int(y2), int(x1) : int(x2)] = True
    return inside


def test_detections_that_overlap_from_frame_to_frame_are_one_track() -> None:
    tracks = reference_tracks([faces(moving(at, 45), moving(at)) for at in range(5)])
    assert [(track.first, len(track.boxes)) for track in tracks] == [(0, 5), (0, 5)]
    assert all(track.found.all() for track in tracks)


@pytest.mark.parametrize(("gap", "lengths"), [(10, [12]), (11, [1, 1]), (0, [2])])
def test_a_gap_is_filled_in_a_straight_line_up_to_its_limit(gap: int, lengths: list[int]) -> None:
    found = [faces((10, 10, 30, 30))] + [faces()] * gap + [faces((21, 10, 41, 30))]
    tracks = reference_tracks(found, iou=0.2)
    assert [len(track.boxes) for track in tracks] == lengths
    if gap == 10:
        assert tracks[0].boxes[:, 0].tolist() == list(range(10, 22))
        assert tracks[0].found.tolist() == [True] + [False] * 10 + [True]


def test_what_lies_elsewhere_is_another_track() -> None:
    tracks = reference_tracks([faces((0, 0, 10, 10)), faces((40, 40, 50, 50))])
    assert [track.first for track in tracks] == [0, 1]


def test_an_open_frame_is_counted_and_named_even_where_the_reference_missed_it() -> None:
    found = [faces(moving(0)), faces(moving(1)), faces(), faces(moving(3))]
    covers = [mask(moving(0)), mask(moving(1)), mask(), mask((13, 10, 28, 30))]
    figures = leak(reference_tracks(found), covers)
    assert (figures.tracks, figures.face_frames, figures.open, figures.half_open) == (1, 4, 2, 1)
    assert figures.open_share == 0.5
    assert [(face.frame, face.covered) for face in figures.worst] == [(2, 0.0), (3, 0.75)]
    assert figures.worst[0].box == moving(2)


def test_masks_over_everything_leave_nothing_open() -> None:
    found = [faces(moving(at)) for at in range(6)]
    figures = leak(reference_tracks(found), (np.ones((80, 80), bool) for _ in found))
    assert (figures.face_frames, figures.open, figures.worst) == (6, 0, ())


def test_short_tracks_are_counted_apart() -> None:
    figures = leak(reference_tracks([faces(moving(0)), faces(moving(1)), faces()]), [mask(), mask(moving(1)), mask()])
    assert (figures.tracks, figures.face_frames, figures.open) == (0, 0, 0)
    assert (figures.brief_face_frames, figures.brief_open) == (2, 1)
    assert math.isnan(figures.open_share)


def test_too_few_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer masks"):
        leak(reference_tracks([faces(moving(0)), faces(moving(1))]), [mask()])
