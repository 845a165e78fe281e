"""What a row of a prediction costs whoever answers, and what it costs to find one among many.

    python -m benchmarks.predictions [--rows 10000000]

CPU time of this process; times of questions are the quickest of three. The tables are made in a temporary folder.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import sqlite

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder, database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.settings import PredictionSettings
from mlops.predictions.store import PredictionStore, Query, finding, grouping
from mlops.predictions.table import PREDICTIONS
from mlops.predictions.writer import Writer
from mlops.settings import load_settings

BEGIN = 1_750_000_000.0
STEP = 0.2
"""Seconds between two rows of the table that is asked."""
VERSIONS = 10
BATCH = 2000
RECORDED = 40_000


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predictions")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        recording(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        asking(Path(folder), rows)


def recording(folder: Path) -> None:
    """Print what whoever answers pays for a row, and what the process pays for it altogether."""
    named = [new_identity() for _ in range(RECORDED)]
    captures = Captures(load_settings().capture, Metrics())
    print(f"a name                        {per_item(lambda: [new_identity() for _ in range(RECORDED)]):6.2f} µs")
    print(f"whether it is captured        {per_item(lambda: [captures.wanted(name) for name in named]):6.2f} µs")
    recorder = Recorder(settings_in(folder), Metrics())
    recorder.open()

    def record() -> None:
        for name in named:
            recorder.record(row(name, time.time(), "faces", "1"))

    began = time.process_time()
    caller = per_item(record)
    recorder.close()
    altogether = (time.process_time() - began) / RECORDED * 1e6
    print(f"making and recording a row    {caller:6.2f} µs of the thread that answers")
    print(f"  and all that follows        {altogether:6.2f} µs of the process: to disk, then into SQLite\n")


def asking(folder: Path, count: int) -> None:
    """Fill a table and print what questions to it cost, and which index answers them."""
    database = database_of(settings_in(folder))
    writer, store = Writer(database), PredictionStore(database)
    began = time.process_time()
    for batch in batches(count):
        writer.insert(batch)
    cost = (time.process_time() - began) / count * 1e6
    size = sum(place.stat().st_size for place in folder.glob("p.db*")) / count
    print(f"{count} rows, {size:.0f} bytes each; inserting costs {cost:.1f} µs each (CPU)")
    end = BEGIN + count * STEP
    middle = BEGIN + count * STEP * 0.45
    one = Query("faces", "5", since=middle, until=middle + 3600)
    questions: dict[str, tuple[Callable[[], object], sa.Select[tuple[object, ...]] | None]] = {
        "100 newest of a version in an hour": (lambda: store.find(one), finding(one)),
        "100 newest of an old version": (lambda: store.find(Query("faces", "1")), finding(Query("faces", "1"))),
        "100 newest of all": (lambda: store.find(Query()), finding(Query())),
        "100 newest of an endpoint": (lambda: store.find(Query("faces")), None),
        "window of ten minutes, by variant": (
            lambda: store.windows("faces", end - 600, end),
            grouping("faces", sa.and_(PREDICTIONS.c.time >= end - 600, PREDICTIONS.c.time < end)),
        ),
        "one batch of the expiry": (lambda: store.expire(time.time() - BEGIN - 100), None),
    }
    for name, (ask, statement) in questions.items():
        print(f"  {name:36} {quickest(ask) * 1000:8.1f} ms  {plan(database, statement)}")
    database.close()


def batches(count: int) -> Iterator[list[Prediction]]:
    """Give rows of three endpoints and ten versions, one after the other in time."""
    random = np.random.default_rng(1)
    for first in range(0, count, BATCH):
        endpoints = random.choice(["faces", "voices", "demo"], BATCH)
        noise = random.bytes(10 * BATCH).hex()
        batch = []
        for number in range(first, min(first + BATCH, count)):
            at, place = BEGIN + number * STEP, number - first
            name = f"{int(at * 1000):012x}7{noise[place * 20 : place * 20 + 19]}"
            batch.append(row(name, at, str(endpoints[place]), str(1 + number * VERSIONS // count)))
        yield batch


def row(name: str, at: float, endpoint: str, version: str) -> Prediction:
    """Return an ordinary row."""
    who = "face-detector", version, "champion", "", "", ""
    return Prediction(name, at, endpoint, *who, "ok", 200, 0.02, {"detect": 0.01}, {"faces": 2.0}, "miss")


def settings_in(folder: Path) -> PredictionSettings:
    """Return the settings as they are, with all places in a folder."""
    places = {"url": SecretStr(f"sqlite:///{folder}/p.db"), "spool_path": folder / "spool"}
    return load_settings().predictions.model_copy(update=places)


def per_item(work: Callable[[], object]) -> float:
    """Return microseconds of this thread's CPU time for each of `RECORDED` items."""
    began = time.thread_time()
    work()
    return (time.thread_time() - began) / RECORDED * 1e6


def quickest(ask: Callable[[], object]) -> float:
    """Return seconds of CPU time, the least of three."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        ask()
        taken.append(time.process_time() - began)
    return min(taken)


def plan(database: Database, statement: sa.Select[tuple[object, ...]] | None) -> str:
    """Return what EXPLAIN QUERY PLAN says of a statement."""
    if statement is None:
        return ""
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with database.reading() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    return "; ".join(str(found.detail) for found in rows)


if __name__ == "__main__":
    main()
