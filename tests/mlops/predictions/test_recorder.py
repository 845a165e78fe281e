import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.recorder import LOSSES, Recorder
from mlops.predictions.settings import PredictionSettings
from mlops.predictions.spool import lying_bytes
from mlops.predictions.subject import pseudonym, subject_key
from mlops.predictions.table import PREDICTIONS
from tests.patience import until
from tests.vanishing import vanishing

ROOT = Path(__file__).resolve().parents[3]
# Records without an end, and says now and then how many rows have left its memory.
CHILD = """
import sys, threading, time
import sqlalchemy as sa
from mlops.database import DatabaseAway
from mlops.folders import entries
from mlops.metrics import Metrics
from mlops.predictions.recorder import Recorder, database_of
from mlops.predictions.row import Prediction
from mlops.predictions.settings import PredictionSettings
from mlops.predictions.spool import read_segment
from mlops.predictions.table import PREDICTIONS
settings = PredictionSettings.model_validate_json(sys.argv[1])
recorder = Recorder(settings, Metrics())
recorder.open()
who = "faces", "m", "1", "champion", "", "", ""

def on_disk():
    places = (place for folder in entries(settings.spool_path) for place in entries(folder, "*.rows*"))
    return sum(len(group.time) for place in places for group in read_segment(place)[0])

def in_database():
    with database_of(settings).reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(PREDICTIONS)).scalar_one()

def tick():
    while True:
        time.sleep(settings.flush_seconds)
        try:
            print((on_disk if sys.argv[2] == "True" else in_database)(), flush=True)
        except (FileNotFoundError, DatabaseAway):
            pass  # a segment was sealed, and has another name; or another thread writes, and was kept from it

threading.Thread(target=tick, daemon=True).start()
recorded = 0
while True:
    for _ in range(20):
        recorder.record(Prediction(f"{recorded:032d}", time.time(), *who, "ok", 200, 0.1))
        recorded += 1
    time.sleep(0.01)
"""


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(PREDICTIONS)).scalar_one())


def lost(metrics: Metrics, reason: str) -> float:
    return metrics.registry.get_sample_value("masker_predictions_lost_total", {"reason": reason}) or 0.0


def test_rows_are_in_the_database_soon(recorder: Recorder, database: Database, metrics: Metrics, make) -> None:
    recorder.open()
    rows = [make(time=1000.0 + number) for number in range(350)]
    for row in rows:
        recorder.record(row)
    until(lambda: count(database) == 350)
    recorder.close()
    with database.reading() as connection:
        read = connection.execute(sa.select(PREDICTIONS).order_by(PREDICTIONS.c.time)).all()
    assert [each.identity for each in read] == [row.identity for row in rows]
    first = read[0]
    assert (first.stages, first.counts, first.faces, first.shadow) == ({"detect": 0.01}, {"faces": 2}, 2.0, False)
    assert metrics.registry.get_sample_value("masker_predictions_written_total") == 350


def test_the_end_writes_what_waits(settings: PredictionSettings, metrics: Metrics, database: Database, make) -> None:
    slow = settings.model_copy(update={"flush_seconds": 3600.0})
    recorder = Recorder(slow, metrics)
    recorder.open()
    for _ in range(250):
        recorder.record(make())
    recorder.close()
    assert count(database) == 250
    assert [each.name for each in settings.spool_path.iterdir()] == ["subject.key"]


def test_who_asked_is_written_nowhere(settings: PredictionSettings, metrics: Metrics, database: Database, make) -> None:
    secret = b"the secret of the whole platform, of some length"
    recorder = Recorder(settings.model_copy(update={"flush_seconds": 0.2}), metrics, secret)
    recorder.open()
    recorder.record(make(subject="ann@example.org"))
    recorder.record(make(subject=""))
    recorder.close()
    with database.reading() as connection:
        read = set(connection.execute(sa.select(PREDICTIONS.c.subject)).scalars())
    assert read == {"", pseudonym("ann@example.org", subject_key(secret, settings.spool_path))}
    written = b"".join(place.read_bytes() for place in settings.spool_path.parent.rglob("*") if place.is_file())
    assert b"ann@example" not in written


def test_a_full_queue_loses_counts_and_never_waits(recorder: Recorder, metrics: Metrics, make) -> None:
    for _ in range(1007):
        recorder.record(make())
    assert lost(metrics, "queue") == 7


def test_rows_after_the_end_are_counted_as_lost(recorder: Recorder, metrics: Metrics, make) -> None:
    recorder.open()
    recorder.close()
    recorder.record(make())
    assert lost(metrics, "closed") == 1


def test_a_row_that_cannot_be_encoded_costs_no_other(recorder: Recorder, metrics: Metrics, database, make) -> None:
    recorder.open()
    recorder.record(make())
    for odd in ({"stages": {"odd": object()}}, {"subject": 5}, {"version": "\ud800"}):
        recorder.record(make(**odd))
    recorder.record(make(subject="\ud800"))
    recorder.close()
    assert count(database) == 2
    assert lost(metrics, "unencodable") == 3


def test_a_row_of_another_type_is_not_in_the_table(recorder: Recorder, metrics: Metrics, database, make) -> None:
    """SQLite takes text as a number of seconds: what is brought in is read back first, and each type checked."""
    recorder.open()
    for odd in ({"seconds": "soon"}, {"time": "now"}, {}, {"stages": {"run": "long"}}):
        recorder.record(make(**odd))
    recorder.close()
    assert count(database) == 1
    assert lost(metrics, "damaged") == 3


def test_a_row_that_the_table_refuses_costs_no_other(recorder: Recorder, metrics: Metrics, database, make) -> None:
    recorder.open()
    for number in range(7):
        recorder.record(make(seconds=float("nan") if number == 3 else 0.1))
    recorder.close()
    assert count(database) == 6
    assert lost(metrics, "damaged") + lost(metrics, "refused") == 1


def test_a_database_that_is_away_gets_its_rows_later(
    settings: PredictionSettings, metrics: Metrics, database: Database, make
) -> None:
    # A folder lies where the database is to be.
    place = settings.spool_path.parent / "predictions.db"
    place.mkdir()
    recorder = Recorder(settings, metrics)
    recorder.open()
    for number in range(30):
        recorder.record(make())
        if number % 10 == 0:
            time.sleep(0.05)
    until(lambda: lying_bytes(settings.spool_path) > 0)
    place.rmdir()
    until(lambda: count(database) == 30)
    until(lambda: lying_bytes(settings.spool_path) == 0)
    recorder.close()


def test_rows_wait_on_disk_over_a_restart(
    settings: PredictionSettings, metrics: Metrics, database: Database, make
) -> None:
    place = settings.spool_path.parent / "predictions.db"
    place.mkdir()
    first = Recorder(settings, metrics)
    first.open()
    for _ in range(30):
        first.record(make())
    first.close()
    place.rmdir()
    second = Recorder(settings, metrics)
    second.open()
    until(lambda: count(database) == 30)
    second.close()
    assert [each.name for each in settings.spool_path.iterdir()] == ["subject.key"]


def test_a_full_spool_loses_counts_and_goes_on(settings: PredictionSettings, metrics: Metrics, make) -> None:
    place = settings.spool_path.parent / "predictions.db"
    place.mkdir()
    recorder = Recorder(settings.model_copy(update={"spool_bytes": 700}), metrics)
    recorder.open()
    recorder.record(make())
    until(lambda: lying_bytes(settings.spool_path) > 0)
    for _ in range(9):
        recorder.record(make())
    recorder.close()
    assert 1 <= lost(metrics, "spool") < 10
    assert 0 < lying_bytes(settings.spool_path) <= 700


def test_a_disk_that_takes_nothing_is_told_of_once_and_then_with_the_sum(
    settings: PredictionSettings, metrics: Metrics, make, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(settings, metrics)
    recorder.open()
    [lock] = settings.spool_path.glob("*/lock")
    lock.parent.rename(settings.spool_path.with_name("gone"))
    for number in range(1, 6):
        recorder.record(make())
        until(lambda number=number: lost(metrics, "spool") == number)
    recorder.close()
    told = [record for record in caplog.records if record.message == "rows of predictions were lost"]
    assert told[0].rows == 1
    assert sum(record.rows for record in told) == 5 > len(told)
    assert "FileNotFoundError" in told[0].reason


def test_other_processes_may_come_and_go_while_rows_are_brought_in(
    settings: PredictionSettings, metrics: Metrics, database: Database, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.predictions.recorder.ORPHAN_SECONDS", 0.0)
    recorder = Recorder(settings, metrics)
    recorder.open()
    with vanishing(settings.spool_path, "000000000000.rows"):
        for number in range(1, 51):
            recorder.record(make())
            until(lambda number=number: count(database) == number)
    recorder.close()
    assert not any(lost(metrics, reason) for reason in LOSSES)


def test_a_spool_that_could_not_be_looked_at_keeps_no_later_row_from_the_database(
    recorder: Recorder, settings: PredictionSettings, database: Database, make, caplog: pytest.LogCaptureFixture
) -> None:
    settings.spool_path.mkdir()
    looped = settings.spool_path / "looped"
    looped.symlink_to("looped")
    recorder.open()
    until(lambda: [record for record in caplog.records if "symbolic links" in getattr(record, "reason", "")])
    looped.unlink()
    recorder.record(make())
    until(lambda: count(database) == 1)
    recorder.close()


@pytest.mark.parametrize("database_is_away", [False, True])
def test_what_has_left_the_memory_of_a_process_outlives_it(
    settings: PredictionSettings, metrics: Metrics, database: Database, database_is_away: bool
) -> None:
    # Room for all that the process records, however late it is killed.
    roomy = {"queue_rows": 1_000_000, "spool_bytes": 1 << 30}
    settings = settings.model_copy(update={"flush_seconds": 0.2, **roomy})
    place = settings.spool_path.parent / "predictions.db"
    if database_is_away:
        place.mkdir()
    told: list[int] = []
    shown = settings.model_dump_json().replace("**********", settings.url.get_secret_value())
    command = [sys.executable, "-c", CHILD, shown, str(database_is_away)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        reader = threading.Thread(target=lambda: told.extend(map(int, child.stdout or ())))
        reader.start()
        try:
            until(lambda: told and told[-1] > 500)
        finally:
            child.kill()
        reader.join()
    if database_is_away:
        place.rmdir()
    after = Recorder(settings, metrics)
    after.open()
    until(lambda: lying_bytes(settings.spool_path) == 0)
    after.close()
    with database.reading() as connection:
        kept = set(connection.execute(sa.select(PREDICTIONS.c.identity)).scalars())
    assert len(kept) >= told[-1]
    assert sorted(int(each) for each in kept) == list(range(len(kept))), "no row is missing before the last one"


def test_recording_costs_little(recorder: Recorder, make) -> None:
    """Taking a row is no more than appending it, with a check or two: nothing is encoded, locked or written."""

    class Appending:
        rows: ClassVar[deque[object]] = deque()

        def record(self, row: object) -> None:
            self.rows.append(row)

    def cost(record: Callable[[object], None], row: object) -> float:
        began = time.thread_time()
        for _ in range(150):
            record(row)
        return time.thread_time() - began

    row = make()
    # The cheapest of a few rounds of each: what disturbs a machine makes a round dearer, never cheaper.
    base = min(cost(Appending().record, row) for _ in range(6))
    assert min(cost(recorder.record, row) for _ in range(6)) < 50 * base
