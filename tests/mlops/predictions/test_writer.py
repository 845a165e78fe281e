"""Rows of many kinds in one segment: each is in the table as it was, and only once."""

import sqlalchemy as sa

from mlops.database import Database
from mlops.predictions.alike import MOST_ROWS
from mlops.predictions.table import PREDICTIONS, ROW, values
from mlops.predictions.writer import Writer


def read(database: Database) -> list[tuple[object, ...]]:
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(PREDICTIONS).order_by(PREDICTIONS.c.time))]


def test_rows_of_many_kinds_are_all_as_they_were(database: Database, make) -> None:
    kinds = [
        {},
        {"version": "2", "variant": "challenger", "release": "r-1", "experiment": "e-1"},
        {"endpoint": "demo", "model": "other", "outcome": "failed", "status": 500, "cache": "hit", "shadow": True},
        {"subject": "ab", "stages": {}, "counts": {"rows": 3.0}},
    ]
    count = 2 * MOST_ROWS + 7
    rows = [make(time=1000.0 + place, seconds=place / 8, **kinds[place % len(kinds)]) for place in range(count)]
    assert Writer(database).insert(rows) == 0
    assert read(database) == [values(row, dict) for row in rows]
    assert [column.name for column in PREDICTIONS.columns] == list(ROW)


def test_rows_may_differ_in_anything_or_in_their_names_alone(database: Database, make) -> None:
    differing = {
        "subject": ["", "ab"],
        "seconds": [0.1, 0.2],
        "stages": [{}, {"run": 0.5}],
        "counts": [{}, {"faces": 1.0}],
    }
    rows = [make(time=1.0), make(time=1.0)]
    for place, (name, values_of_both) in enumerate(differing.items()):
        rows += [make(time=2.0 + place, version=name, **{name: value}) for value in values_of_both]
    assert Writer(database).insert(rows) == 0
    assert sorted(read(database)) == sorted(values(row, dict) for row in rows)


def test_rows_that_are_there_already_stay_as_they_are(database: Database, make) -> None:
    writer = Writer(database)
    first, second = make(time=1.0, identity="a" * 32), make(time=2.0, identity="b" * 32)
    assert writer.insert([first]) == 0
    assert writer.insert([make(time=1.0, identity="a" * 32, status=500), second]) == 0
    assert read(database) == [values(first, dict), values(second, dict)]
