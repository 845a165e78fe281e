"""Brings segments of rows into the table: each row once, however often it is tried."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from mlops.database import Database, DatabaseAway
from mlops.predictions.row import Prediction
from mlops.predictions.spool import orphans, read_segment
from mlops.predictions.table import PREDICTIONS, ROW, values

STATEMENT_ROWS: Final = 250
"""Rows of one statement: many, so that the interpreter's lock is let go once for all of them."""


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
                for begin in range(0, len(rows), STATEMENT_ROWS):
                    _insert_sqlite(connection, rows[begin : begin + STATEMENT_ROWS])
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
    one = f"({','.join('?' * len(ROW))})"
    statement = f"INSERT INTO {PREDICTIONS.name} VALUES {','.join([one] * len(rows))} ON CONFLICT DO NOTHING"
    connection.exec_driver_sql(statement, tuple(chain.from_iterable([values(row, _text) for row in rows])))


def _text(nested: Mapping[str, float]) -> str:
    return _encode(nested).decode() if nested else "{}"


def _insert_postgresql(connection: sa.Connection, rows: Sequence[Prediction]) -> None:
    # One value that the server takes apart itself: thousands of them cost it more to read than to insert.
    lines = _encode([dict(zip(ROW, values(row, dict), strict=True)) for row in rows]).decode()
    connection.exec_driver_sql(_RECORDS, (lines,))


_encode: Final = msgspec.json.Encoder().encode
_TYPES: Final = ", ".join(
    f"{column.name} {column.type.compile(postgresql.dialect())}"  # type: ignore[no-untyped-call]
    for column in PREDICTIONS.columns
)
_RECORDS: Final = (
    f"INSERT INTO {PREDICTIONS.name} SELECT * FROM json_to_recordset(%s) AS rows({_TYPES}) ON CONFLICT DO NOTHING"
)
