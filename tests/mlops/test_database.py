import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlops.audit import AuditLog
from mlops.database import Database
from tests.patience import PATIENCE_SECONDS


def test_who_opens_a_new_file_while_another_makes_its_tables_waits_for_him(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of processes that start together on a new file SQLite refuses some at once, whatever its busy timeout."""
    waits, sleep = threading.Event(), time.sleep

    def paused(seconds: float) -> None:
        waits.set()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", paused)
    log = AuditLog(database)
    with closing(sqlite3.connect(tmp_path / "platform.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(log.entries)
            opening.add_done_callback(lambda _: waits.set())
            waits.wait(PATIENCE_SECONDS)
            other.rollback()
            assert opening.result(PATIENCE_SECONDS) == []
