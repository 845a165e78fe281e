from collections.abc import Callable

import pytest
import sqlalchemy as sa

from mlops.database import Database
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES


@pytest.fixture
def tables() -> sa.MetaData:
    return TABLES


@pytest.fixture
def store(database: Database, clock: Callable[[], float]) -> JobStore:
    return JobStore(database, result_seconds=100, clock=clock)
