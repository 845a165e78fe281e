from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops.database import Database
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES
from mlops.settings import Settings
from services.worker import loop
from tests.patience import PATIENCE_SECONDS
from tests.services.worker.experiment_world import Place
from tests.services.worker.release_world import World


@pytest.fixture(autouse=True)
def _unhurried_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends waits for what it does, so that all of it can be looked at then."""
    monkeypatch.setattr(loop, "END_SECONDS", PATIENCE_SECONDS)


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


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[[], World]]:
    made: list[World] = []

    def make() -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


@pytest.fixture
def here(tmp_path: Path, trained: Path) -> Iterator[Place]:
    made = Place(tmp_path, trained)
    yield made
    made.platform.close()
    made.predictions.close()
