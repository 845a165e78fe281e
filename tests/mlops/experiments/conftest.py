from collections.abc import Callable

import pytest

from mlops.database import Database
from mlops.experiments.plan import Arm, Metric, Plan
from mlops.experiments.store import ExperimentStore


@pytest.fixture
def store(database: Database, clock: Callable[[], float]) -> ExperimentStore:
    return ExperimentStore(database, clock)


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
