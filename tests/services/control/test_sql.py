from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.settings import Settings, load_settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.sql import sql_router
from tests.patience import PATIENCE_SECONDS

HOST = "http://127.0.0.1:8000"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_PREDICTIONS__PARQUET_PATH": f"{tmp_path}/lake",
            "MASKER_SQL__MOST_ROWS": "3",
            "MASKER_SQL__SECONDS": str(PATIENCE_SECONDS),
        }
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan():
        yield

    part = Part(sql_router(settings), lifespan, lambda: Readiness(ready=True))
    with TestClient(create_app(settings, Metrics(), [part], "test"), HOST) as opened:
        yield opened


def test_a_question_is_answered_within_its_limits(client: TestClient) -> None:
    answer = client.post("/v1/sql", json={"query": "select range as n, 'x' as x from range(10)"})
    assert answer.status_code == 200
    assert answer.json() == {
        "columns": ["n", "x"],
        "types": ["BIGINT", "VARCHAR"],
        "rows": [[0, "x"], [1, "x"], [2, "x"]],
        "truncated": True,
    }


@pytest.mark.parametrize("query", ["drop view predictions", "select * from read_text('/etc/hostname')", ""])
def test_what_is_no_question_is_a_problem(client: TestClient, query: str) -> None:
    answer = client.post("/v1/sql", json={"query": query})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_field_that_there_is_not_is_an_error(client: TestClient) -> None:
    answer = client.post("/v1/sql", json={"query": "select 1", "limit": 5})
    assert (answer.status_code, answer.json()["errors"][0].split(":")[0]) == (422, "body.limit")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select list(range) from range(1000000000)", "ask for fewer rows"),
        ("pivot (select 1 as version) on version", "ON version IN ('1', '2')"),
        ("select 1; select 2", "one SELECT"),
    ],
)
def test_what_is_refused_is_told_with_what_to_do(client: TestClient, query: str, told: str) -> None:
    detail = client.post("/v1/sql", json={"query": query}).json()["detail"]
    assert told in detail
    assert "SET " not in detail, "nobody may change a setting here"


def test_a_pivot_that_names_its_values_is_answered(client: TestClient) -> None:
    query = "pivot (select 1 as version, 2 as n) on version in (1, 2) using sum(n)"
    assert client.post("/v1/sql", json={"query": query}).json()["rows"] == [[2, None]]


def test_nobody_is_told_whose_process_answers(client: TestClient) -> None:
    told = client.post("/v1/sql", json={"query": "select value from duckdb_settings() where name like '%directory'"})
    assert str(Path.home()) not in told.text or Path.home() == Path("/")
