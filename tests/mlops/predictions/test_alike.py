"""Rows by what they have in common: all of them come back, and what is damaged is counted."""

import msgspec
import pytest

from mlops.predictions.alike import MOST_ROWS, Alike, alike, lines, read_line
from mlops.predictions.row import Prediction


def rows_of(groups: list[Alike]) -> list[Prediction]:
    return sorted((row for group in groups for row in group.rows()), key=lambda row: row.time)


def test_all_rows_come_back_as_they_were(make) -> None:
    kinds = [{}, {"version": "2", "shadow": True}, {"endpoint": "demo", "status": 500, "cache": ""}]
    rows = [
        make(time=float(place), seconds=place / 8, subject=str(place % 2), **kinds[place % 3])
        for place in range(3 * MOST_ROWS + 4)
    ]
    groups = alike(rows)
    assert len(groups) == 6
    assert rows_of(groups) == rows
    read = [read_line(line) for line in lines(groups).splitlines()]
    assert rows_of([group for some, _ in read for group in some]) == rows
    assert not any(damaged for _, damaged in read)


def test_nothing_is_no_group() -> None:
    assert alike([]) == []
    assert lines([]) == b""


@pytest.mark.parametrize(
    "odd", [{"seconds": "soon"}, {"seconds": float("nan")}, {"stages": {"run": "long"}}, {"identity": 7}]
)
def test_a_row_of_other_types_costs_no_other_of_its_line(odd: dict[str, object], make) -> None:
    rows = [make(time=1.0), make(time=2.0, **odd), make(time=3.0)]
    (line,) = lines(alike(rows)).splitlines()
    groups, damaged = read_line(line)
    assert (rows_of(groups), damaged) == ([rows[0], rows[2]], 1)


def test_a_kind_of_other_types_costs_all_of_its_line(make) -> None:
    (line,) = lines(alike([make(status="fine"), make(status="fine")])).splitlines()
    assert read_line(line) == ([], 2)


@pytest.mark.parametrize("line", [b"", b"5", b"[]", b"{}", b'"text"', b"[[1, 2", b"\xff"])
def test_what_is_no_line_counts_as_one(line: bytes) -> None:
    assert read_line(line) == ([], 1)


def test_columns_of_several_lengths_are_none(make) -> None:
    kind, first, *others = msgspec.json.decode(lines(alike([make(), make()])))
    assert read_line(msgspec.json.encode([kind, first[:1], *others])) == ([], 1)
