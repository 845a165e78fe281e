"""Following the champion, with the real MLflow on a database file."""

import re
import time
from pathlib import Path

import mlflow
import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.registry.bundle import current, write_manifest
from mlops.registry.mlflow import Registry
from mlops.settings import Settings, load_settings
from services.worker.app import worker_app
from services.worker.pull import Puller

NAME, VOICE = "face-detector", "voice-masker"


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


def test_both_models_are_brought_and_one_that_is_refused_keeps_the_other_from_nothing(
    settings: Settings, logged_run: str, logged_digest: str, tmp_path: Path
) -> None:
    registry, root = Registry(settings.registry.tracking_uri), settings.registry.bundles_path
    voice = tmp_path / "voice"
    voice.mkdir()
    for file in ("voice.onnx", "vad.onnx", "golden.npz"):
        (voice / file).write_bytes(file.encode())
    digest = write_manifest(voice, VOICE, "codebook", {"fp32": "voice.onnx"}, "golden.npz", vad="vad.onnx")
    mlflow.set_experiment("made")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(voice), "bundle")
    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", "f" * 64, {}).version)
    registry.promote(VOICE, registry.register(VOICE, run.info.run_id, "bundle", digest, {}).version)
    puller = Puller(settings.registry, CollectorRegistry())
    assert puller.pull() == "refused"
    assert current(root, NAME) is None
    bundle = current(root, VOICE)
    assert bundle is not None
    assert (bundle.architecture, bundle.vad) == ("codebook", root / VOICE / "1" / "vad.onnx")

    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", logged_digest, {}).version)
    assert puller.pull() == "pulled"
    assert puller.pull() == "unchanged"


def test_a_registry_that_does_not_answer_is_counted_and_survived(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{closed_port}"
    away = settings.model_copy(update={"registry": settings.registry.model_copy(update={"tracking_uri": uri})})
    with TestClient(worker_app(away, Metrics()), "http://127.0.0.1:8000") as worker:
        until(worker, "failed")
        assert "masker_registry_up 0.0" in worker.get("/metrics").text
