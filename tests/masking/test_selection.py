import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.errors import PolicyError
from masking.selection import Listed, Selection, of_faces
from masking.types import Faces

HEADER = "action,x1,y1,x2,y2,first,last,score,source,track\n"


def faces(*boxes: tuple[float, float, float, float], score: float = 0.5) -> Faces:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = np.repeat(array[:, None, :2], 5, axis=1) + 1
    return Faces(array, np.full(len(array), score, np.float32), landmarks)


def boxes(found: Faces) -> list[tuple[float, ...]]:
    return sorted(tuple(box) for box in found.boxes.tolist())


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False) | st.integers(int(low), int(high))


@st.composite
def listed(draw: st.DrawFn) -> Listed:
    x1, y1 = draw(numbers(-500, 500)), draw(numbers(-500, 500))
    first = draw(st.none() | st.integers(0, 1000))
    return Listed(
        action=draw(st.sampled_from(["mask", "keep"])),
        x1=x1,
        y1=y1,
        x2=x1 + draw(numbers(1, 500)),
        y2=y1 + draw(numbers(1, 500)),
        first=first,
        last=draw(st.none() | st.integers(first or 0, 2000)),
        score=draw(st.none() | numbers(0, 1)),
        source=draw(st.sampled_from(["detector", "person"])),
        track=draw(st.none() | st.integers(0, 2**31 - 1)),
    )


@given(rows=st.lists(listed(), max_size=8), only=st.booleans())
def test_a_list_goes_round_as_json_and_as_csv(rows, only):
    selection = Selection(tuple(rows), only and any(row.action == "mask" for row in rows))
    assert Selection.from_json(selection.to_json()) == selection
    assert Selection.from_csv(selection.to_csv(), only=selection.only) == selection


def test_csv_takes_columns_in_any_order_and_what_spreadsheets_write():
    text = "\ufeffx2,y2,action,x1,y1\r\n10,20.5,mask,1,2\r\n\r\n"
    assert Selection.from_csv(text) == Selection((Listed("mask", 1, 2, 10, 20.5),))


def test_json_needs_no_more_than_action_and_box():
    text = json.dumps({"regions": [{"action": "keep", "x1": 1, "y1": 2, "x2": 3, "y2": 4.5}]})
    assert Selection.from_json(text) == Selection((Listed("keep", 1, 2, 3, 4.5),))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("mask,1,2,nan,4,,,,,", "row 2: x2 must be a number"),
        ("mask,1,2,inf,4,,,,,", "row 2: x2 must be a number"),
        ("mask,1,2,1e300,4,,,,,", "row 2: x2 must be a number"),
        ("mask,1,2,1_0,4,,,,,", "row 2: x2 must be a number"),
        ("mask,1,2,,4,,,,,", "row 2: x2 must be a number"),
        ("mask,5,2,1,4,,,,,", "row 2: x2 and y2 must exceed"),
        ("mask,1,2,1,4,,,,,", "row 2: x2 and y2 must exceed"),
        ("hide,1,2,3,4,,,,,", "row 2: action must be mask or keep"),
        (",1,2,3,4,,,,,", "row 2: action must be mask or keep"),
        ("mask,1,2,3,4,,,,robot,", "row 2: source must be"),
        ("mask,1,2,3,4,5,4,,,", "row 2: first must not exceed last"),
        ("mask,1,2,3,4,-1,,,,", "row 2: first must be a whole number"),
        ("mask,1,2,3,4,1.5,,,,", "row 2: first must be a whole number"),
        ("mask,1,2,3,4,,,2,,", "row 2: score must be"),
        ("mask,1,2,3,4", "row 2 has 5 fields"),
        ('mask,1,2,3,4,,,,"person,', "not CSV"),
    ],
)
def test_a_wrong_line_is_refused_with_its_row(line, said):
    with pytest.raises(PolicyError, match=said):
        Selection.from_csv(f"{HEADER}mask,1,2,3,4,,,,,\n{line}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("x1,y1,x2,y2\n", "lacks action"),
        ("action;x1;y1;x2;y2\n", "lacks action"),
        ("action,x1,y1,x2,y2,name\n", "not known"),
        ("action,x1,y1,x2,y2,x1\n", "twice"),
        (HEADER + "mask,1,2,3,4,,,,,\n" * 10_001, "10000 rows"),
        (" " * 4_000_001, "characters"),
    ],
)
def test_a_wrong_csv_is_refused(text, said):
    with pytest.raises(PolicyError, match=said):
        Selection.from_csv(text)


def region(more: str = "", action: str = '"mask"', x2: str = "3") -> str:
    return f'{{"regions": [{{"action": {action}, "x1": 1, "y1": 2, "x2": {x2}, "y2": 4{more}}}]}}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "object with"),
        ("{}", "must be a list"),
        ('{"regions": [], "name": 1}', "nothing else"),
        ('{"regions": [], "regions": []}', "not JSON"),
        ('{"regions": [1]}', "list of objects"),
        ('{"regions": [], "only": 1}', "true or false"),
        ('{"regions": [], "version": 2}', "version"),
        ('{"regions": [{"action": "mask"}]}', "row 1 lacks x1, y1, x2, y2"),
        (region(', "name": "A"'), "row 1 has a column that is not known"),
        (region(', "score": NaN'), "not JSON"),
        (region(', "score": true'), "row 1: score must be a number"),
        (region(', "track": "1"'), "row 1: track must be a whole number"),
        (region(', "action": ["mask"]'), "not JSON"),
        (region(action='["mask"]'), "row 1: action"),
        (region(x2="1" + "0" * 400), "row 1: x2 must be"),
        (region(x2="1e400"), "row 1: x2 must be"),
    ],
)
def test_a_wrong_json_is_refused(text, said):
    with pytest.raises(PolicyError, match=said):
        Selection.from_json(text)


def test_more_rows_than_allowed_are_refused():
    with pytest.raises(PolicyError, match="rows at most"):
        Selection((Listed("mask", 1, 2, 3, 4),) * 10_001)


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ((0, 0, 100, 100), []),  # holds the box
        ((10, 10, 25, 40), []),  # holds the centre and three quarters
        ((17, 17, 23, 23), [(10, 10, 30, 30)]),  # holds the centre, but less than half
        ((21, 10, 60, 30), [(10, 10, 30, 30)]),  # holds nearly half, but not the centre
        ((50, 50, 90, 90), [(10, 10, 30, 30)]),  # elsewhere
    ],
)
def test_a_region_to_keep_takes_away_the_detections_that_it_covers(keep, left):
    selection = Selection((Listed("keep", *keep),))
    assert boxes(selection.apply(faces((10, 10, 30, 30)), 100, 100)) == left


@given(
    found=st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2), max_size=5),
    rows=st.lists(listed(), max_size=6),
)
def test_what_a_person_asked_to_mask_is_masked_whatever_is_kept(found, rows):
    everything = Listed("keep", -1000, -1000, 2000, 2000)
    still_rows = [replace(row, first=None, last=None) for row in rows]
    mask = [row for row in still_rows if row.action == "mask" and row.x2 > 0 and row.y2 > 0]
    mask = [row for row in mask if row.x1 < 600 and row.y1 < 600]
    keep = [row for row in still_rows if row.action == "keep"]
    detected = faces(*[(x, y, x + w, y + h) for x, y, w, h in found])
    result = Selection((*keep, *mask, everything)).apply(detected, 600, 600)
    assert len(result) == len(mask)
    for row in mask:
        x1, y1, x2, y2 = np.array([row.x1, row.y1, row.x2, row.y2], np.float32)
        holds = (result.boxes[:, :2] <= (x1, y1)).all(axis=1) & (result.boxes[:, 2:] >= (x2, y2)).all(axis=1)
        assert holds.any()
    assert (np.diff(result.scores) <= 0).all()


def test_a_region_to_mask_is_an_upright_face_of_full_score():
    result = Selection((Listed("mask", 10, 20, 50, 70),)).apply(faces((80, 80, 90, 90)), 100, 100)
    assert boxes(result) == [(10, 20, 50, 70), (80, 80, 90, 90)]
    assert result.scores.tolist() == [1, 0.5]
    right, left, nose, *mouth = result.landmarks[0]
    assert right[0] < nose[0] < left[0]
    assert right[1] == left[1] < nose[1] < mouth[0][1] == mouth[1][1]
    assert ((result.landmarks[0] > (10, 20)) & (result.landmarks[0] < (50, 70))).all()


def test_a_detection_of_the_same_face_is_not_doubled_and_nothing_of_either_box_is_lost():
    detected = faces((10, 10, 30, 30), (60, 60, 80, 80), score=0.3)
    result = Selection((Listed("mask", 8, 12, 28, 30),)).apply(detected, 100, 100)
    assert boxes(result) == [(8, 10, 30, 30), (60, 60, 80, 80)]
    # The mask grows with the detector's doubt, and is turned by its landmarks.
    assert result.scores.tolist() == pytest.approx([0.3, 0.3])
    assert any((marks == detected.landmarks[0]).all() for marks in result.landmarks)


def test_an_exported_list_fed_back_gives_the_same_faces_with_and_without_the_detector():
    detected = faces((10.123, 10, 30, 30.456), (60, 60, 80, 80), score=0.25)
    text = of_faces(detected).to_json()
    again = Selection.from_json(text).apply(detected, 100, 100)
    np.testing.assert_allclose(again.boxes, detected.boxes, atol=0.006)
    np.testing.assert_array_equal(again.landmarks, detected.landmarks)
    alone = Selection.from_json(text).apply(Faces.none(), 100, 100)
    np.testing.assert_allclose(alone.boxes, detected.boxes, atol=0.006)
    assert alone.scores.tolist() == again.scores.tolist() == [0.25, 0.25]


def test_only_masks_exactly_what_is_listed():
    selection = Selection((Listed("mask", 1, 1, 9, 9),), only=True)
    assert boxes(selection.apply(faces((40, 40, 60, 60)), 100, 100)) == [(1, 1, 9, 9)]


@pytest.mark.parametrize("rows", [(), (Listed("keep", 1, 1, 9, 9),)])
def test_only_without_a_region_to_mask_is_refused_since_all_would_stay_open(rows):
    with pytest.raises(PolicyError, match="list one with action mask, or leave only out"):
        Selection(rows, only=True)
    text = Selection(rows).to_json().replace("false", "true")
    with pytest.raises(PolicyError, match="no row is to be masked"):
        Selection.from_json(text)


def test_an_empty_list_changes_nothing():
    detected = faces((40, 40, 60, 60))
    result = Selection().apply(detected, 100, 100)
    np.testing.assert_array_equal(result.boxes, detected.boxes)


@pytest.mark.parametrize(("frame", "masked"), [(0, 0), (4, 0), (5, 1), (7, 1), (8, 0)])
def test_frames_are_inclusive(frame, masked):
    selection = Selection((Listed("mask", 1, 1, 9, 9, first=5, last=7),))
    assert len(selection.apply(Faces.none(), 100, 100, frame)) == masked


@pytest.mark.parametrize("rows", [{"first": 3}, {"last": 3}])
def test_frames_named_for_a_picture_are_refused(rows):
    with pytest.raises(PolicyError, match="row 1 names frames"):
        Selection((Listed("mask", 1, 1, 9, 9, **rows),)).apply(Faces.none(), 100, 100)


@pytest.mark.parametrize("box", [(100, 0, 110, 10), (0, 50, 10, 60), (-20, 0, 0, 10), (0, -20, 10, 0)])
def test_a_region_to_mask_outside_the_picture_is_refused(box):
    with pytest.raises(PolicyError, match="row 1 lies outside the picture of 100 x 50"):
        Selection((Listed("mask", *box),)).apply(Faces.none(), 100, 50)


def test_faces_of_a_frame_are_listed_with_their_tracks():
    rows = of_faces(faces((1, 2, 3, 4), (5, 6, 7, 8)), frame=9, tracks=[4, 2]).rows
    assert [(row.first, row.last, row.track, row.source, row.action) for row in rows] == [
        (9, 9, 4, "detector", "mask"),
        (9, 9, 2, "detector", "mask"),
    ]
