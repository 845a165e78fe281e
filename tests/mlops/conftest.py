from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from mlops import audit
from mlops.database import Database
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
def tables() -> sa.MetaData:
    """What the database has: the audit log and all that is audited, unless a folder says otherwise."""
    return audit.TABLES


@pytest.fixture
def database(tmp_path: Path, tables: sa.MetaData) -> Iterator[Database]:
    url = SecretStr(f"sqlite:///{tmp_path}/platform.db")
    opened = Database(DatabaseSettings(url=url, password_file=None), tables)
    yield opened
    opened.close()
