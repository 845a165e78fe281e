from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops.database import Database
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES
from mlops.settings import DatabaseSettings


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = SecretStr(f"sqlite:///{tmp_path}/platform.db")
    opened = Database(DatabaseSettings(url=url, password_file=None), TABLES)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, clock: Clock) -> JobStore:
    return JobStore(database, result_seconds=100, clock=clock)
