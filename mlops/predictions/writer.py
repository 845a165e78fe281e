"""Brings segments of rows into the table: each row once, however often it is tried."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mlops.database import Database, DatabaseAway
from mlops.predictions.alike import MOST_ROWS, OWN, Alike, alike
from mlops.predictions.row import FACES, Prediction
from mlops.predictions.spool import orphans, read_segment
from mlops.predictions.table import PREDICTIONS, ROW, Value, values

COLUMNS: Final = (*OWN, FACES)
"""Columns of the table in which rows of one kind may differ."""


class Writer:
    """Writes rows into the table.

    Args:
        database: Where the table is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def bring(self, segment: Path) -> tuple[int, dict[str, int]]:
        """Insert a segment's rows and remove it; returns how many were taken, and how many were lost by reason.

        Raises:
            DatabaseAway: It does not answer; the segment stays.
            OSError: The segment cannot be read or removed.
        """
        groups, damaged = read_segment(segment)
        refused = self._insert(groups)
        segment.unlink()
        return sum(len(group.time) for group in groups) - refused, {"damaged": damaged, "refused": refused}

    def bring_orphans(self, root: Path) -> tuple[int, dict[str, int]]:
        """Insert what processes left that have died; returns as `bring` does.

        Raises:
            DatabaseAway: It does not answer; what is left stays.
            OSError: A segment cannot be read or removed.
        """
        taken, lost = 0, {"damaged": 0, "refused": 0}
        for segments in orphans(root):
            for segment in segments:
                more, losses = self.bring(segment)
                taken += more
                lost = {reason: count + losses[reason] for reason, count in lost.items()}
        return taken, lost

    def insert(self, rows: Sequence[Prediction]) -> int:
        """Insert rows that are not there yet; returns how many the table refused for what they are.

        Raises:
            DatabaseAway: It does not answer; none of them is in.
        """
        return self._insert(alike(rows))

    def _insert(self, groups: Sequence[Alike]) -> int:
        try:
            with self._database.transaction() as connection:
                if connection.dialect.name == "postgresql":
                    _insert_postgresql(connection, groups)
                else:
                    _insert_sqlite(connection, groups)
            return 0
        except DatabaseAway as error:
            if not isinstance(error.__cause__, sa.exc.DataError | sa.exc.IntegrityError):
                raise
            rows = [row for group in groups for row in group.rows()]
            if len(rows) == 1:
                return 1
            half = len(rows) // 2
            return self.insert(rows[:half]) + self.insert(rows[half:])


# The drivers' own statements: SQLAlchemy's way costs several times as much for each row.
def _insert_sqlite(connection: sa.Connection, groups: Sequence[Alike]) -> None:
    for group in groups:
        columns = _columns(group)
        # Each value takes time, so one that all rows have is given once.
        own = tuple(
            name for name in COLUMNS if name == "identity" or columns[name].count(columns[name][0]) < len(group.time)
        )
        common = [columns[name][0] for name in ROW if name not in own]
        each = chain.from_iterable(zip(*[columns[name] for name in own], strict=True))
        connection.exec_driver_sql(_statement(len(group.time), own), (*common, *each))


@lru_cache(MOST_ROWS)
def _statement(rows: int, own: tuple[str, ...]) -> str:
    """Return what inserts rows that differ in columns of these names; the values of the others come first, and once."""
    columns = [f"own.column{own.index(name) + 1}" if name in own else "?" for name in ROW]
    row = f"({','.join('?' * len(own))})"
    return (
        f"INSERT INTO {PREDICTIONS.name} SELECT {','.join(columns)} FROM (VALUES {','.join([row] * rows)}) AS own "
        "WHERE true ON CONFLICT DO NOTHING"
    )


def _columns(group: Alike) -> dict[str, Sequence[Value]]:
    """Return the columns of a group by name; those of what is the same in all of its rows may have one value."""
    return {
        **{name: (value,) for name, value in group.kind._asdict().items()},
        "time": group.time,
        "identity": group.identity,
        "subject": group.subject,
        "seconds": group.seconds,
        "stages": _texts(group.stages),
        "counts": _texts(group.counts),
        FACES: [counts.get(FACES) for counts in group.counts],
    }


def _texts(nested: Sequence[Mapping[str, float]]) -> list[str]:
    """Return each as JSON, which has no line break in it."""
    return _ENCODER.encode_lines(nested).decode().split("\n")[:-1]


def _insert_postgresql(connection: sa.Connection, groups: Sequence[Alike]) -> None:
    # One value that the server takes apart itself: thousands of them cost it more to read than to insert.
    rows = [dict(zip(ROW, values(row, dict), strict=True)) for group in groups for row in group.rows()]
    connection.exec_driver_sql(_RECORDS, (_ENCODER.encode(rows).decode(),))


_ENCODER: Final = msgspec.json.Encoder()
_TYPES: Final = ", ".join(
    f"{column.name} {column.type.compile(postgresql.dialect())}"  # type: ignore[no-untyped-call]
    for column in PREDICTIONS.columns
)
_RECORDS: Final = (
    f"INSERT INTO {PREDICTIONS.name} SELECT * FROM json_to_recordset(%s) AS rows({_TYPES}) ON CONFLICT DO NOTHING"
)
