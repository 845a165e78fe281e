from pathlib import Path

import numpy as np
import pytest

from cli.faults import UsageError
from cli.regions import gather, read_regions, write_regions
from masking.selection import Listed, Selection
from masking.types import Faces

ONE = Selection((Listed("mask", 1, 2, 30, 40), Listed("keep", 5.5, 6, 70, 80, first=3, last=9)))
OTHER = Selection((Listed("mask", 7, 8, 90, 95, score=0.5, source="detector", track=2),))


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_what_is_written_for_many_files_is_read_for_each(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"boxes{suffix}"
    written = {'with "quotes", and a comma.jpg': ONE, "sub/b.jpg": OTHER}
    path.write_text(write_regions(written, as_json=suffix == ".json", several=True))
    regions = read_regions(path)
    assert {name: regions.of(name) for name in written} == written
    assert regions.of("another.jpg") == Selection()


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_list_of_one_file_is_that_of_the_library(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"boxes{suffix}"
    text = write_regions({"a.jpg": ONE}, as_json=suffix == ".json", several=False)
    assert (Selection.from_json if suffix == ".json" else Selection.from_csv)(text) == ONE
    path.write_text(text)
    assert read_regions(path).of("whatever.jpg") == ONE


def test_a_correction_is_never_lost(tmp_path: Path) -> None:
    many, one = tmp_path / "many.csv", tmp_path / "one.csv"
    many.write_text(write_regions({"a.jpg": ONE}, as_json=False, several=True))
    one.write_text(write_regions({"a.jpg": ONE}, as_json=False, several=False))
    with pytest.raises(UsageError, match=r"names 'a\.jpg'"):
        read_regions(many).check(["b.jpg"])
    with pytest.raises(UsageError, match="which of 2 files"):
        read_regions(one).check(["a.jpg", "b.jpg"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "action\n"),
        ("a.csv", "file,action,x1,y1,x2,y2\na.jpg,mask,1,2,3\n"),
        ("a.csv", "file,action,x1,y1,x2,y2\na.jpg,mask,1,2,x,4\n"),
        ("a.json", "{"),
        ("a.json", '{"files": []}'),
        ("a.json", '{"version": 1, "only": true, "regions": []}'),
        ("a.txt", ""),
    ],
)
def test_a_list_that_cannot_be_read_is_a_fault_of_usage(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=name):
        read_regions(tmp_path / name)


def frames(*boxes: tuple[float, float, float, float]) -> list[tuple[int, Faces, tuple[int, ...]]]:
    one = np.array([0.5], np.float32)
    return [
        (number, Faces(np.array([box], np.float32), one, np.zeros((1, 5, 2), np.float32)), (0,))
        for number, box in enumerate(boxes)
    ]


def test_a_face_that_stays_is_one_row_and_its_box_holds_it_in_every_frame() -> None:
    boxes = [(10.0 + step, 10.0, 50.0 + step, 60.0) for step in range(40)]
    rows = gather(frames(*boxes)).rows
    assert 1 < len(rows) < 10
    assert [row.first for row in rows[1:]] == [(row.last or 0) + 1 for row in rows[:-1]]
    for number, box in enumerate(boxes):
        (row,) = [row for row in rows if row.holds(number)]
        assert (row.x1 <= box[0], row.x2 >= box[2]) == (True, True)
        assert (row.x2 - row.x1) * 50 <= 1.3 * 40 * 50


def test_a_face_that_was_away_begins_a_new_row() -> None:
    seen = frames(*[(10.0, 10.0, 50.0, 60.0)] * 6)
    rows = gather([seen[0], seen[1], seen[4], seen[5]]).rows
    assert [(row.first, row.last) for row in rows] == [(0, 1), (4, 5)]
