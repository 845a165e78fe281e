"""What a process that runs DuckDB is told, and what it tells."""

from typing import Any

import msgspec


class Write(msgspec.Struct, tag="write", frozen=True):
    """Make a Parquet file.

    Attributes:
        table: Which of `mlops.predictions.lake.TABLES`.
        lines: File with a row a line, as JSON; times in seconds since the epoch.
        place: Where the Parquet file goes; it is there whole, or not at all.
    """

    table: str
    lines: str
    place: str


class Merge(msgspec.Struct, tag="merge", frozen=True):
    """Make one Parquet file of several, in the order of time.

    Attributes:
        table: Which of `mlops.predictions.lake.TABLES`.
        places: The files.
        folder: Where ``whole-<rows>.parquet`` goes; it is there whole, or not at all.
    """

    table: str
    places: list[str]
    folder: str


class Ask(msgspec.Struct, tag="ask", frozen=True):
    """Answer a question.

    Attributes:
        lake: Where the Parquet files are.
        query: One SELECT, in DuckDB's SQL.
        most_rows: Rows of the answer at most.
        seconds: Longest time that it may take.
    """

    lake: str
    query: str
    most_rows: int
    seconds: float


class Table(msgspec.Struct, frozen=True):
    """An answer.

    Attributes:
        columns: Their names.
        types: Their types, as DuckDB calls them.
        rows: Values of each row, as JSON has them: times as text, and null for what is no number.
        truncated: Whether there were more rows.
        fault: Why there is no answer; empty where there is one.
    """

    columns: list[str] = []
    types: list[str] = []
    rows: list[list[Any]] = []
    truncated: bool = False
    fault: str = ""
