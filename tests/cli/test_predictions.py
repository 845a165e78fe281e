"""`masker predictions` and `masker sql` against the real platform API on a port of this machine."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.metrics import Metrics
from mlops.predictions.landing import Landing
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import PredictionStore
from mlops.predictions.writer import Writer
from mlops.settings import load_settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.predictions import predictions_router
from services.control.sql import sql_router
from tests.patience import PATIENCE_SECONDS

ROWS = [
    Prediction(new_identity(), time.time() - 600 + n, "faces" if n % 2 else "demo", "m", str(n % 3), "champion", "", "",
               "", "ok", 200, 0.0125, {"detect": 0.01}, {"faces": n}, "miss", n == 4)
    for n in range(6)
]  # fmt: skip


@pytest.fixture
def masker(tmp_path: Path, serve: Callable[[FastAPI], AbstractContextManager[str]]) -> Iterator[Callable[..., Result]]:
    settings = load_settings(
        environ={
            "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db",
            "MASKER_PREDICTIONS__PARQUET_PATH": f"{tmp_path}/lake",
            "MASKER_SQL__MOST_ROWS": "4",
            "MASKER_SQL__SECONDS": str(PATIENCE_SECONDS),
        }
    )
    database = database_of(settings.predictions)
    Writer(database).insert(ROWS)
    Landing(database, tmp_path / "lake", 10**6).land()

    @asynccontextmanager
    async def lifespan():
        yield

    routers = predictions_router(PredictionStore(database)), sql_router(settings)
    parts = [Part(router, lifespan, lambda: Readiness(ready=True)) for router in routers]
    with serve(create_app(settings, Metrics(), parts, "test")) as url:
        yield lambda *arguments: CliRunner().invoke(app, [*arguments, "--url", url])
    database.close()


def test_the_latest_predictions_are_lines(masker: Callable[..., Result]) -> None:
    lines = masker("predictions", "-n", "3").stdout.splitlines()
    assert [line.split("\t")[1] for line in lines] == [row.identity for row in ROWS[:-4:-1]]
    assert lines[0].split("\t")[2:] == ["faces", "2", "champion", "ok", "200", "0.0125", "miss", "faces=5"]
    assert lines[1].endswith("faces=4 shadow")
    assert len(masker("predictions", "--endpoint", "faces", "--version", "1").stdout.splitlines()) == 1
    told = [json.loads(line) for line in masker("predictions", "--json").stdout.splitlines()]
    assert [each["id"] for each in told] == [row.identity for row in ROWS[::-1]]


def test_a_question_gives_csv(masker: Callable[..., Result]) -> None:
    asked = masker("sql", "select endpoint, count(*) as n, [1, 2] as l from predictions group by 1 order by 1")
    assert (asked.exit_code, asked.stdout) == (0, 'endpoint,n,l\ndemo,3,"[1, 2]"\nfaces,3,"[1, 2]"\n')
    asked = masker("sql", "select identity from predictions")
    assert len(asked.stdout.splitlines()) == 5
    assert "more rows than the 4" in asked.stderr
    told = json.loads(masker("sql", "select 1 as one", "--json").stdout)
    assert (told["columns"], told["rows"], told["truncated"]) == (["one"], [[1]], False)


def test_what_is_no_question_is_told_plainly(masker: Callable[..., Result]) -> None:
    asked = masker("sql", "drop view predictions")
    assert asked.exit_code == 1
    assert "one SELECT" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_an_error_of_several_lines_is_told_in_lines(masker: Callable[..., Result]) -> None:
    told = masker("sql", "selec 1").stderr
    assert "\N{REPLACEMENT CHARACTER}" not in told
    first, second, third = told.splitlines()
    assert first.startswith("masker: Parser Error")
    assert second.startswith("LINE 1: selec 1")
    assert second[third.index("^") :].startswith("selec 1"), "it points at the word"
