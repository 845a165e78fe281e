"""Brings segments of rows into the table: each row once, however often it is tried."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mlops.database import Database, DatabaseAway
from mlops.predictions.row import FACES, Prediction
from mlops.predictions.spool import orphans, read_segment
from mlops.predictions.table import PREDICTIONS, ROW, Value, values

STATEMENT_ROWS: Final = 250
"""Rows of one statement: many, so that the interpreter's lock is let go once for all of them."""

OWN: Final = ("time", "identity", "subject", "seconds", "stages", "counts", "faces")
"""Columns in which rows differ."""
KIND: Final = tuple(name for name in ROW if name not in OWN)
"""The others, in which most rows of a moment are alike."""
_kind_of: Final = attrgetter(*KIND)


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
        rows, damaged = read_segment(segment)
        refused = self.insert(rows)
        segment.unlink()
        return len(rows) - refused, {"damaged": damaged, "refused": refused}

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
        try:
            with self._database.transaction() as connection:
                if connection.dialect.name == "postgresql":
                    _insert_postgresql(connection, rows)
                    return 0
                _insert_sqlite(connection, rows)
            return 0
        except DatabaseAway as error:
            if not isinstance(error.__cause__, sa.exc.DataError | sa.exc.IntegrityError):
                raise
            if len(rows) == 1:
                return 1
            half = len(rows) // 2
            return self.insert(rows[:half]) + self.insert(rows[half:])


# The drivers' own statements: SQLAlchemy's way costs several times as much for each row.
def _insert_sqlite(connection: sa.Connection, rows: Sequence[Prediction]) -> None:
    kinds: dict[tuple[Value, ...], list[Prediction]] = {}
    for row in rows:
        kinds.setdefault(_kind_of(row), []).append(row)
    for kind, alike in kinds.items():
        for begin in range(0, len(alike), STATEMENT_ROWS):
            some = alike[begin : begin + STATEMENT_ROWS]
            connection.exec_driver_sql(_statement(len(some)), (*kind, *chain.from_iterable(_own_values(some))))


@lru_cache(STATEMENT_ROWS)
def _statement(rows: int) -> str:
    """Return what inserts rows of one kind, whose common values are given once: that takes half as long."""
    own = f"({','.join('?' * len(OWN))})"
    columns = [f"kind.{name}" if name in KIND else f"own.column{OWN.index(name) + 1}" for name in ROW]
    return (
        f"WITH kind ({','.join(KIND)}) AS (VALUES ({','.join('?' * len(KIND))})) "
        f"INSERT INTO {PREDICTIONS.name} SELECT {','.join(columns)} "
        f"FROM kind CROSS JOIN (VALUES {','.join([own] * rows)}) AS own WHERE true ON CONFLICT DO NOTHING"
    )


def _own_values(rows: Sequence[Prediction]) -> Iterable[tuple[Value, ...]]:
    """Give the values of the columns `OWN` of rows."""
    return zip(
        [row.time for row in rows],
        [row.identity for row in rows],
        [row.subject for row in rows],
        [row.seconds for row in rows],
        _texts([row.stages for row in rows]),
        _texts([row.counts for row in rows]),
        [row.counts.get(FACES) for row in rows],
        strict=True,
    )


def _texts(nested: Sequence[Mapping[str, float]]) -> list[str]:
    """Return each as JSON, which has no line break in it."""
    return _ENCODER.encode_lines(nested).decode().split("\n")[:-1]


def _insert_postgresql(connection: sa.Connection, rows: Sequence[Prediction]) -> None:
    # One value that the server takes apart itself: thousands of them cost it more to read than to insert.
    lines = _encode([dict(zip(ROW, values(row, dict), strict=True)) for row in rows]).decode()
    connection.exec_driver_sql(_RECORDS, (lines,))


_ENCODER: Final = msgspec.json.Encoder()
_encode: Final = _ENCODER.encode
_TYPES: Final = ", ".join(
    f"{column.name} {column.type.compile(postgresql.dialect())}"  # type: ignore[no-untyped-call]
    for column in PREDICTIONS.columns
)
_RECORDS: Final = (
    f"INSERT INTO {PREDICTIONS.name} SELECT * FROM json_to_recordset(%s) AS rows({_TYPES}) ON CONFLICT DO NOTHING"
)
