"""Following the champion, with the real MLflow on a database file."""

import re
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.registry.bundle import current
from mlops.registry.mlflow import Registry
from mlops.settings import Settings, load_settings
from services.worker.app import worker_app

NAME = "face-detector"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
            "MASKER_REGISTRY__POLL_SECONDS": "0.05",
        }
    )


def until(worker: TestClient, outcome: str, seconds: float = 30) -> None:
    """Wait until the worker has counted an outcome."""
    end = time.monotonic() + seconds
    counted = re.compile(rf'masker_bundle_pulls_total{{outcome="{outcome}"}} [1-9]')
    while not counted.search(worker.get("/metrics").text):
        assert time.monotonic() < end, worker.get("/metrics").text
        time.sleep(0.05)


def test_the_champion_is_brought_and_a_forged_one_is_refused(
    settings: Settings, logged_run: str, logged_digest: str
) -> None:
    root = settings.registry.bundles_path
    registry = Registry(settings.registry.tracking_uri)
    left_by_a_killed_worker = root / NAME / ".incoming-x"
    left_by_a_killed_worker.mkdir(parents=True)
    with TestClient(worker_app(settings, Metrics()), "http://127.0.0.1:8000") as worker:
        assert not left_by_a_killed_worker.exists()
        until(worker, "unchanged")
        version = registry.register(NAME, logged_run, "bundle", logged_digest, {})
        registry.promote(NAME, version.version)
        until(worker, "pulled")
        bundle = current(root, NAME)
        assert bundle is not None
        assert (bundle.version, bundle.digest) == ("1", logged_digest)

        forged = registry.register(NAME, logged_run, "bundle", "f" * 64, {})
        registry.promote(NAME, forged.version)
        until(worker, "refused")
        serving = current(root, NAME)
        assert serving is not None
        assert serving.version == "1"
        assert "masker_registry_up 1.0" in worker.get("/metrics").text


def test_a_registry_that_does_not_answer_is_counted_and_survived(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{closed_port}"
    away = settings.model_copy(update={"registry": settings.registry.model_copy(update={"tracking_uri": uri})})
    with TestClient(worker_app(away, Metrics()), "http://127.0.0.1:8000") as worker:
        until(worker, "failed")
        assert "masker_registry_up 0.0" in worker.get("/metrics").text
