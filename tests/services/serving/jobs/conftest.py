"""A server that takes jobs, and what its worker would see; the worker's part is played by the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.services.serving.jobs.backstage import Backstage


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "database__url": f"sqlite:///{tmp_path}/platform.db",
        "jobs__spool_path": str(tmp_path / "jobs"),
        "jobs__reserve_bytes": "0",
    }


@pytest.fixture
def backstage(environ: dict[str, str]) -> Iterator[Backstage]:
    opened = Backstage(environ)
    yield opened
    opened.queue.close()
    opened.store.database.close()


@pytest.fixture
def make_served(make_client: Callable[..., Any], environ: dict[str, str]) -> Callable[..., Any]:
    @contextmanager
    def make(**more: object) -> Iterator[TestClient]:
        with make_client(**environ | more) as client:
            yield client

    return make


@pytest.fixture
def client(make_served: Callable[..., Any]) -> Iterator[TestClient]:
    with make_served() as served:
        yield served
