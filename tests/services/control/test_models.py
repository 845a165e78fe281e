"""The platform API against the real MLflow on a database file."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.registry.mlflow import Registry
from mlops.settings import load_settings
from services.control.app import control_app

HOST = "http://127.0.0.1:8000"


def client(uri: str) -> TestClient:
    settings = load_settings(environ={"MASKER_REGISTRY__TRACKING_URI": uri})
    return TestClient(control_app(settings, Metrics()), HOST)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_versions_are_listed_with_aliases_and_figures(uri: str, logged_run: str) -> None:
    registry = Registry(uri)
    for recall in ("0.91", "0.95"):
        version = registry.register("face-detector", logged_run, "bundle", "d" * 64, {"recall": recall})
        registry.promote("face-detector", version.version)
    with client(uri) as control:
        assert control.get("/v1/models").json() == {"models": ["face-detector"]}
        newest, oldest = control.get("/v1/models/face-detector").json()["versions"]
    assert (newest["version"], newest["aliases"], newest["tags"]["recall"]) == ("2", ["champion"], "0.95")
    assert (oldest["version"], oldest["aliases"], oldest["digest"]) == ("1", ["previous"], "d" * 64)


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/models/nobody", 404), ("/v1/models/..%2f", 404), ("/v1/models/'", 422)]
)
def test_a_name_that_is_none_is_a_problem(uri: str, path: str, status: int) -> None:
    with client(uri) as control:
        answer = control.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_registry_that_does_not_answer_is_503_and_says_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with client(f"http://127.0.0.1:{closed_port}") as control:
        answer = control.get("/v1/models")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert control.get("/livez").status_code == 200
