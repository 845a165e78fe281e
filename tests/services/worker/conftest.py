from collections.abc import Callable, Iterator

import pytest

from mlops.database import Database
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES
from mlops.settings import Settings


@pytest.fixture
def make_store() -> Iterator[Callable[[Settings], JobStore]]:
    """Open the table of jobs that settings name; it is closed after the test."""
    opened: list[Database] = []

    def make(settings: Settings) -> JobStore:
        opened.append(Database(settings.database, TABLES))
        return JobStore(opened[-1], settings.jobs.result_seconds)

    yield make
    for database in opened:
        database.close()
