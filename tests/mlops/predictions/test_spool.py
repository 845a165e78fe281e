import os
import threading
from pathlib import Path

import pytest

from mlops.predictions import alike
from mlops.predictions.row import Prediction
from mlops.predictions.spool import Spool, SpoolFull, living, lying_bytes, orphans, read_segment
from tests.vanishing import vanishing


def lines(*rows) -> bytes:
    return alike.lines(alike.alike(rows))


def read(place: Path) -> tuple[list[Prediction], int]:
    groups, damaged = read_segment(place)
    return [row for group in groups for row in group.rows()], damaged


def test_what_is_sealed_can_be_read(tmp_path: Path, make) -> None:
    spool = Spool(tmp_path, 100_000)
    spool.open()
    first, second, third = make(), make(), make()
    spool.append(lines(first, second))
    assert spool.sealed() == []
    spool.seal()
    spool.append(lines(third))
    spool.seal()
    assert [read(place) for place in spool.sealed()] == [([first, second], 0), ([third], 0)]
    assert lying_bytes(tmp_path) == len(lines(first, second) + lines(third))


def test_a_line_that_was_cut_off_is_counted(tmp_path: Path, make) -> None:
    first, second = make(), make()
    place = tmp_path / "1.rows"
    place.write_bytes((lines(first) + lines(second))[:-20])
    assert read(place) == ([first], 1)


def test_a_living_process_keeps_its_segments(tmp_path: Path, make) -> None:
    spool = Spool(tmp_path, 100_000)
    spool.open()
    spool.append(lines(make()))
    spool.seal()
    assert list(orphans(tmp_path)) == []
    spool.close()
    found = list(orphans(tmp_path))
    assert [len(segments) for segments in found] == [1]


def test_an_open_segment_of_a_dead_process_is_found_and_its_folder_removed(tmp_path: Path, make) -> None:
    spool = Spool(tmp_path, 100_000)
    spool.open()
    row = make()
    spool.append(lines(row))
    spool.seal()
    spool.close()
    folder = next(tmp_path.iterdir())
    (folder / "000000000000.rows").rename(folder / "000000000000.rows.open")
    for (segment,) in orphans(tmp_path):
        assert read(segment) == ([row], 0)
        segment.unlink()
    assert list(tmp_path.iterdir()) == []


def test_the_bytes_of_all_processes_are_bounded_together(tmp_path: Path, make) -> None:
    size = len(lines(make()))
    first, second = Spool(tmp_path, 3 * size), Spool(tmp_path, 3 * size)
    first.open()
    second.open()
    first.append(lines(make(), make()))
    second.append(lines(make()))
    with pytest.raises(SpoolFull):
        second.append(lines(make()))


def test_an_empty_spool_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    spool.open()
    spool.seal()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_sealed_is_never_written_to_again(tmp_path: Path, make) -> None:
    """The number of a file that was closed may be another file's: a database's, say."""
    spool = Spool(tmp_path / "spool", 100_000)
    spool.open()
    first, second = make(), make()
    spool.append(lines(first))
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        spool.seal()
    (tmp_path / "elsewhere").rename(tmp_path / "spool")
    with (tmp_path / "database").open("wb") as database:
        spool.append(lines(second))
        spool.close()
        assert os.fstat(database.fileno()).st_size == 0
    (segments,) = orphans(tmp_path / "spool")
    assert [read(place) for place in segments] == [([first], 0), ([second], 0)]


def test_processes_may_come_and_go_while_somebody_looks(tmp_path: Path, make) -> None:
    own = Spool(tmp_path, 100_000)
    own.open()
    own.append(lines(make()))
    with vanishing(tmp_path, "lock", "000000000000.rows"):
        for _ in range(1000):
            assert lying_bytes(tmp_path) == len(lines(make()))
        for _ in range(100):
            for segments in orphans(tmp_path):
                for segment in segments:
                    segment.unlink(missing_ok=True)
    own.close()


def test_the_replicas_that_live_are_known_by_name(tmp_path: Path, make) -> None:
    assert living(tmp_path / "none") == frozenset()
    left, right, nameless = (Spool(tmp_path, 100_000, name) for name in ("left", "straße 7", ""))
    for each in (left, right, nameless):
        each.open()
    (tmp_path / "key").write_text("a file beside the folders")
    assert living(tmp_path) == {"left", "straße 7"}
    left.append(lines(make()))
    left.close()
    assert living(tmp_path) == {"straße 7"}
    for _ in orphans(tmp_path):
        assert living(tmp_path) == {"straße 7"}, "whoever brings the rows of a dead process does not wake it"
    right.close()
    nameless.close()
    assert living(tmp_path) == frozenset()


@pytest.mark.parametrize("left", [[], ["lock"]])
def test_a_folder_whose_process_was_killed_while_it_made_it_is_removed(tmp_path: Path, left: list[str]) -> None:
    root = tmp_path / "spool"
    (root / "7-unfinished").mkdir(parents=True)
    for name in left:
        (root / "7-unfinished" / name).touch()
    (root / "key").write_text("a file beside the folders")
    spool = Spool(root, 100_000)
    spool.open()
    assert [segment for segments in orphans(root) for segment in segments] == []
    assert {each.name for each in root.iterdir()} == {"key", *(each.parent.name for each in root.glob("*/lock"))}
    assert len(list(root.glob("*/lock"))) == 1, "what a living process has made stays"
    spool.close()


def test_who_looks_for_dead_processes_takes_no_folder_from_one_that_begins(tmp_path: Path, make) -> None:
    root, done = tmp_path / "spool", threading.Event()

    def look() -> None:
        while not done.is_set():
            for _ in orphans(root):
                pass

    looking = [threading.Thread(target=look) for _ in range(4)]
    for each in looking:
        each.start()
    try:
        for _ in range(50):
            spool = Spool(root, 100_000, "here")
            spool.open()
            spool.append(lines(make()))
            spool.seal()
            assert [read(place)[1] for place in spool.sealed()] == [0]
            assert living(root) == {"here"}
            spool.sealed()[0].unlink()
            spool.close()
    finally:
        done.set()
        for each in looking:
            each.join()
