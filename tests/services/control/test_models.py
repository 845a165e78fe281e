"""The platform API against the real MLflow on a database file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.registry.bundle import point
from mlops.registry.mlflow import Registry
from mlops.rollout import state
from mlops.rollout.state import Release
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
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


def test_aliases_that_wait_for_the_registry_go_over_its_word(uri: str, logged_run: str) -> None:
    registry = Registry(uri)
    for recall in ("0.91", "0.95", "0.97"):
        version = registry.register("demo", logged_run, "bundle", "d" * 64, {"recall": recall})
        registry.admit("demo", version.version)
    settings = load_settings(environ={"MASKER_REGISTRY__TRACKING_URI": uri})
    point(settings.registry.bundles_path, "demo", "1", "d" * 64)
    wanted = {"endpoint": "demo", "reason": "better", "strategy": "blue-green"}

    with client(uri) as control:

        def aliases() -> dict[str, list[str]]:
            return {each["version"]: each["aliases"] for each in control.get("/v1/models/demo").json()["versions"]}

        def ask(version: str) -> tuple[int, Any]:
            answer = control.post("/v1/releases", json=wanted | {"version": version}, headers={"X-Actor": "ada"})
            return answer.status_code, answer.json()

        def move(identity: str, *moves: Callable[[Release, float], Release]) -> None:
            database = Database(settings.database, TABLES)
            for each in moves:
                ReleaseStore(database).act(identity, "loop", each.__name__, each)
            database.close()

        assert aliases() == {"3": ["challenger"], "2": [], "1": ["champion"]}
        assert ask("previous")[0] == 404
        identity = ask("2")[1]["id"]
        move(identity, state.prepare, state.start)
        assert aliases()["3"] == ["challenger"], "it waits for a release of its own"
        move(identity, state.promote_full)
        point(settings.registry.bundles_path, "demo", "2", "d" * 64)
        move(identity, state.succeed)
        assert aliases() == {"3": ["challenger"], "2": ["champion"], "1": ["previous"]}
        assert ask("champion")[0] == 409, "it is champion already"
        back = ask("previous")[1]
        assert (back["version"], back["baseline"]) == ("1", "2")
        assert (ask("challenger")[1]["version"], ask("newest")[1]["version"]) == ("3", "3")
    assert registry.resolve("demo", "champion").version == "1", "nobody has told it yet"


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
