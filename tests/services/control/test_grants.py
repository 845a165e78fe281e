from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.audit import TABLES, AuditLog
from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.grants import GrantStore
from mlops.settings import Settings, load_settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.grants import grants_router

HOST = "http://127.0.0.1:8000"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    platform = f"sqlite:///{tmp_path}/platform.db"
    return load_settings(environ={"MASKER_DATABASE__URL": platform, "MASKER_CAPTURE__RAW_GRANTERS": "ann"})


@pytest.fixture
def platform(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database, TABLES)
    yield opened
    opened.close()


@pytest.fixture
def client(settings: Settings, platform: Database) -> Iterator[TestClient]:
    @asynccontextmanager
    async def lifespan():
        yield

    part = Part(grants_router(settings.capture, GrantStore(platform)), lifespan, lambda: Readiness(ready=True))
    with TestClient(create_app(settings, Metrics(), [part], "test"), HOST) as opened:
        yield opened


def test_raw_input_is_granted_by_those_who_may_and_the_audit_log_has_it(client: TestClient, platform: Database) -> None:
    wish = {"endpoint": "faces", "seconds": 60, "reason": "a face was missed"}
    for headers, status in (({}, 422), ({"X-Actor": "bob"}, 403)):
        assert client.post("/v1/captures/grants", json=wish, headers=headers).status_code == status
    ann = {"X-Actor": "ann"}
    assert client.post("/v1/captures/grants", json=wish | {"seconds": 10**9}, headers=ann).status_code == 403
    granted = client.post("/v1/captures/grants", json=wish, headers=ann)
    assert granted.status_code == 201
    identity = granted.json()["id"]
    assert [each["id"] for each in client.get("/v1/captures/grants").json()["grants"]] == [identity]
    assert client.delete(f"/v1/captures/grants/{identity}", headers={"X-Actor": "bob"}).status_code == 204
    assert client.delete(f"/v1/captures/grants/{identity}", headers={"X-Actor": "bob"}).status_code == 404
    actions = [(entry.actor, entry.action) for entry in AuditLog(platform).entries()]
    assert actions == [("bob", "capture.revoke"), ("ann", "capture.grant")]
