import os
from pathlib import Path

import pytest

from mlops.predictions import alike
from mlops.predictions.row import Prediction
from mlops.predictions.spool import Spool, SpoolFull, lying_bytes, orphans, read_segment
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
