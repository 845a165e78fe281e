from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops.database import Database
from mlops.experiments.plan import Arm, Metric, Plan
from mlops.experiments.store import ExperimentStore
from mlops.experiments.table import TABLES
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
def store(tmp_path: Path, clock: Clock) -> Iterator[ExperimentStore]:
    url = SecretStr(f"sqlite:///{tmp_path}/platform.db")
    database = Database(DatabaseSettings(url=url, password_file=None), TABLES)
    yield ExperimentStore(database, clock)
    database.close()


@pytest.fixture
def plan_of() -> Callable[..., Plan]:
    """Make a plan of these metrics, two arms unless told otherwise."""

    def make(*metrics: Metric, arms: tuple[Arm, ...] | None = None, **changes: object) -> Plan:
        two = (Arm("champion", "1", 0.5, "1" * 64), Arm("challenger", "2", 0.5, "2" * 64))
        given: dict[str, object] = {
            "endpoint": "faces", "model": "face-detector", "arms": arms or two, "metrics": metrics, "alpha": 0.05,
            "power": 0.8, "longest_seconds": 1e6, "window_seconds": 0.0, "least_subjects": 50,
        }  # fmt: skip
        return Plan(**given | changes)  # type: ignore[arg-type]

    return make
