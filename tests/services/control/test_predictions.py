import struct
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import PredictionStore
from mlops.predictions.writer import Writer
from mlops.settings import load_settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.predictions import predictions_router

HOST = "http://127.0.0.1:8000"


def row(number: int) -> Prediction:
    variant = "challenger" if number % 2 else "champion"
    who = "faces" if number % 3 else "demo", "m", str(number % 2), variant, "", "", "f" * 32
    return Prediction(new_identity(), 1_700_000_000.0 + number, *who, "ok", 200, 0.01, {"detect": 0.005}, {"faces": 2})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    settings = load_settings(environ={"MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db"})
    database = database_of(settings.predictions)
    yield PredictionStore(database)
    database.close()


def app(store: PredictionStore) -> FastAPI:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan():
        yield

    part = Part(predictions_router(store), lifespan, lambda: Readiness(ready=True))
    return create_app(load_settings(environ={}), Metrics(), [part], "test")


@pytest.fixture
def client(store: PredictionStore) -> Iterator[TestClient]:
    with TestClient(app(store), HOST) as opened:
        yield opened


def test_predictions_are_told_newest_first_and_page_by_page(store: PredictionStore, client: TestClient) -> None:
    rows = [row(number) for number in range(25)]
    Writer(store.database).insert(rows)
    seen, asked = [], {"most": 10}
    for _ in range(3):
        page = client.get("/v1/predictions", params=asked).json()
        seen += [each["id"] for each in page["predictions"]]
        asked["cursor"] = page["next"]
    assert page["next"] is None
    assert seen == [each.identity for each in rows[::-1]]


def test_predictions_are_told_by_what_is_asked_for(store: PredictionStore, client: TestClient) -> None:
    rows = [row(number) for number in range(12)]
    Writer(store.database).insert(rows)
    asked = {"endpoint": "faces", "version": "1", "since": "2023-11-14T22:13:22Z", "until": "2023-11-14T22:13:27Z"}
    found = client.get("/v1/predictions", params=asked).json()["predictions"]
    assert [each["id"] for each in found] == [rows[5].identity]
    told = found[0]
    assert told["time"] == "2023-11-14T22:13:25Z"
    assert (told["variant"], told["stages"], told["counts"]) == ("challenger", {"detect": 0.005}, {"faces": 2.0})


def test_one_prediction_is_told_by_its_id(store: PredictionStore, client: TestClient) -> None:
    one = Prediction(new_identity(), time.time(), "faces", "m", "1", "c", "", "", "", "ok", 200, 0.1)
    Writer(store.database).insert([one])
    assert client.get(f"/v1/predictions/{one.identity}").json()["id"] == one.identity
    missing = client.get(f"/v1/predictions/{new_identity()}")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"


def packed(moment: float, identity: str) -> str:
    return urlsafe_b64encode(struct.pack(">d", moment) + identity.encode()).decode().rstrip("=")


def test_a_time_may_be_seconds_too(store: PredictionStore, client: TestClient) -> None:
    rows = [row(number) for number in range(3)]
    Writer(store.database).insert(rows)
    for since in ("2023-11-14T22:13:22Z", "1700000002", "1700000002.0"):
        found = client.get("/v1/predictions", params={"since": since}).json()["predictions"]
        assert [each["id"] for each in found] == [rows[2].identity]
    refused = client.get("/v1/predictions", params={"since": "99999999999"}).json()["errors"]
    assert "2026-01-31T12:00:00Z" in refused[0]


@pytest.mark.parametrize(
    "asked",
    [{"cursor": "!"}, {"cursor": "AAAA"}, {"verson": "1"}, {"since": "yesterday"}, {"since": "2023-11-14T22:13:22"},
     {"most": 100_000}, {"endpoint": "a'b"}, {"since": "99999999999"}, {"until": "-20000000001"},
     {"cursor": packed(1.0, "a\x00b")}, {"cursor": packed(float("nan"), "a")}, {"cursor": packed(1.0, "")}],
)  # fmt: skip
def test_what_is_no_question_is_a_problem(client: TestClient, asked: dict[str, object]) -> None:
    answer = client.get("/v1/predictions", params=asked)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_database_that_is_away_is_503(tmp_path: Path) -> None:
    (tmp_path / "p.db").mkdir()
    settings = load_settings(environ={"MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db"})
    with TestClient(app(PredictionStore(database_of(settings.predictions))), HOST) as client:
        answer = client.get("/v1/predictions")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
