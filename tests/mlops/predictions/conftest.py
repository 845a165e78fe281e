from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.recorder import Recorder, database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.settings import PredictionSettings

Make = Callable[..., Prediction]


@pytest.fixture
def settings(tmp_path: Path) -> PredictionSettings:
    return PredictionSettings(
        url=SecretStr(f"sqlite:///{tmp_path}/predictions.db"),
        password_file=None,
        queue_rows=1000,
        batch_rows=100,
        flush_seconds=0.02,
        spool_path=tmp_path / "spool",
        spool_bytes=1_000_000,
        keep_seconds=1000,
        parquet_path=tmp_path / "lake",
        parquet_seconds=60,
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def recorder(settings: PredictionSettings, metrics: Metrics) -> Recorder:
    return Recorder(settings, metrics)


@pytest.fixture
def database(settings: PredictionSettings) -> Iterator[Database]:
    opened = database_of(settings)
    yield opened
    opened.close()


@pytest.fixture
def make() -> Make:
    """Makes a row; what a test does not say is ordinary."""

    def row(**said: object) -> Prediction:
        ordinary = {
            "identity": new_identity(), "time": 1000.0, "endpoint": "faces", "model": "face-detector", "version": "1",
            "variant": "champion", "release": "", "experiment": "", "subject": "", "outcome": "ok", "status": 200,
            "seconds": 0.02, "stages": {"detect": 0.01}, "counts": {"faces": 2}, "cache": "miss",
        }  # fmt: skip
        return Prediction(**(ordinary | said))

    return row
