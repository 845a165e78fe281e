"""The lake: predictions, features and results as Parquet, for questions that a database of rows is slow at.

    <lake>/<table>/hour=2026-01-31T12/part-<since>-<until>.parquet    as rows come in
    <lake>/<table>/hour=2026-01-31T12/whole-<rows>.parquet            the hour, once it is over; parts do not count then

Hours and times are UTC; those in names are milliseconds since the epoch.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mlops.folders import entries

HOUR_SECONDS: Final = 3600
_NUMBERS: Final = "MAP(VARCHAR, DOUBLE)"
_WHICH: Final = {
    "identity": "VARCHAR",
    "time": "TIMESTAMP",
    "endpoint": "VARCHAR",
    "model": "VARCHAR",
    "version": "VARCHAR",
    "variant": "VARCHAR",
}
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "predictions": {
        **_WHICH,
        "release": "VARCHAR",
        "experiment": "VARCHAR",
        "subject": "VARCHAR",
        "outcome": "VARCHAR",
        "status": "INTEGER",
        "seconds": "DOUBLE",
        "stages": _NUMBERS,
        "counts": _NUMBERS,
        "cache": "VARCHAR",
        "shadow": "BOOLEAN",
    },
    "features": {**_WHICH, "name": "VARCHAR", "shape": "INTEGER[]", "numbers": "DOUBLE[]"},
    "results": {**_WHICH, "name": "VARCHAR", "shape": "INTEGER[]", "numbers": "DOUBLE[]"},
}
"""Columns of each table, with DuckDB's types."""


def hour_of(seconds: float) -> int:
    """Return the beginning of the hour that a time lies in, in seconds since the epoch."""
    return int(seconds // HOUR_SECONDS) * HOUR_SECONDS


def folder_of(lake: Path, table: str, hour: int) -> Path:
    """Return where the files of an hour are."""
    return lake / table / datetime.fromtimestamp(hour, UTC).strftime("hour=%Y-%m-%dT%H")


def part(folder: Path, since: float, until: float) -> Path:
    """Return where the rows of a stretch of time within the hour go."""
    return folder / f"part-{round(since * 1000)}-{round(until * 1000)}.parquet"


def whole(folder: Path, rows: int) -> Path:
    """Return where an hour that is over goes."""
    return folder / f"whole-{rows}.parquet"


def rows_of(folder: Path) -> int | None:
    """Return how many rows the file of a whole hour has; None where there is no such file yet."""
    return max(map(_rows, entries(folder, "whole-*.parquet")), default=None)


def landed_until(lake: Path, table: str) -> float | None:
    """Return until when rows have landed, in seconds since the epoch; None where none have."""
    ends: list[float] = []
    for folder in entries(lake / table, "hour=*")[:-3:-1]:
        ends += [int(place.stem.split("-")[2]) / 1000 for place in entries(folder, "part-*.parquet")]
        if rows_of(folder) is not None:
            ends.append(begin_of(folder) + HOUR_SECONDS)
    return max(ends, default=None)


def files(lake: Path, table: str) -> list[Path]:
    """Return the files that hold every landed row of a table once."""
    found: list[Path] = []
    for folder in entries(lake / table, "hour=*"):
        # One look for both kinds: between two, parts may have become a whole, and there would be neither.
        parts = entries(folder, "*.parquet")
        wholes = [place for place in parts if place.name.startswith("whole-")]
        found += [max(wholes, key=_rows)] if wholes else parts
    return found


def drop_superseded(folder: Path, kept: Path) -> None:
    """Remove the files of an hour that another holds all rows of."""
    for place in entries(folder, "*.parquet"):
        if place != kept:
            place.unlink(missing_ok=True)


def expire(lake: Path, before: float) -> None:
    """Remove all hours that ended before a time."""
    for folder in (hour for table in entries(lake) for hour in entries(table, "hour=*")):
        if begin_of(folder) + HOUR_SECONDS <= before:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(lake: Path, who: str) -> Iterator[Path | None]:
    """Give a folder for files on the way while nobody else lands the same things; None where somebody does.

    What one that was killed left in it is gone.

    Raises:
        OSError: The lake cannot be written.
    """
    folder = lake / f".{who}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        for left in folder.iterdir():
            left.unlink(missing_ok=True)
        yield folder
    finally:
        os.close(lock)


def _rows(whole: Path) -> int:
    return int(whole.stem.split("-")[1])


def begin_of(folder: Path) -> float:
    """Return the beginning of the hour of a folder, in seconds since the epoch."""
    return datetime.strptime(folder.name, "hour=%Y-%m-%dT%H").replace(tzinfo=UTC).timestamp()
