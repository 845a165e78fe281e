"""A server that masks sound, with a table of jobs and a spool of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def make_served(make_client: Callable[..., Any], spool: Path, tmp_path: Path) -> Callable[..., Any]:
    environ = {
        "database__url": f"sqlite:///{tmp_path}/platform.db",
        "jobs__spool_path": str(spool),
        "jobs__reserve_bytes": "0",
    }
    return lambda **more: make_client(**environ | more)


@pytest.fixture
def client(make_served: Callable[..., Any]) -> Iterator[TestClient]:
    with make_served() as served:
        yield served
