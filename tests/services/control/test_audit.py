"""The audit log over HTTP: what is asked of it, and what is told of a log that somebody has damaged."""

import sqlite3
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.audit import TABLES, AuditLog
from mlops.database import Database
from mlops.settings import Settings


@pytest.fixture
def log(settings: Settings) -> AuditLog:
    """Three entries."""
    log = AuditLog(Database(settings.database, TABLES), lambda: 1_700_000_000.0)
    for number in range(3):
        log.append("ada", "release.pause", f"release-{number}")
    log.database.close()
    return log


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("time = 'abc'", {"time": None}),
        ("time = 1e300", {"time": None}),
        ("actor = x'61ff'", {"actor": "a\\xff"}),
        ("actor = CAST(x'61ff' AS TEXT)", {"actor": "a\\udcff"}),
        ('details = \'{"a": "\\ud800"}\'', {"details": {"unreadable": '{"a": "\\ud800"}'}}),
    ],
)
def test_who_reads_a_damaged_log_is_told_all_of_it(
    control: TestClient, log: AuditLog, tmp_path: Path, change: str, told: dict[str, object]
) -> None:
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        connection.execute("DROP TRIGGER audit_log_no_update")
        connection.execute(f"UPDATE audit_log SET {change} WHERE sequence = 2")
    connection.close()
    answer = control.get("/v1/audit")
    assert answer.status_code == 200, answer.text
    newest, damaged, oldest = answer.json()["entries"]
    assert {name: damaged[name] for name in told} == told
    assert [each["damaged"] for each in (newest, damaged, oldest)] == [False, True, False]
    assert (newest["time"], newest["actor"]) == ("2023-11-14T22:13:20Z", "ada")
    assert control.get("/v1/audit/verify").json() == {"whole": False, "broken": 2, "newest": newest["digest"]}


@pytest.mark.parametrize(
    "asked",
    [
        {"before": 10**26},
        {"before": 2**63},
        {"subject": "\x00"},
        {"actor": "a\nb"},
        {"subject": "a" * 201},
        {"most": 0},
    ],
)
def test_what_the_database_cannot_be_asked_is_refused(control: TestClient, asked: dict[str, object]) -> None:
    answer = control.get("/v1/audit", params=asked)
    assert (answer.status_code, answer.json()["errors"][0].split(":")[0]) == (422, f"query.{next(iter(asked))}")


def test_what_there_is_no_entry_of_is_none(control: TestClient, log: AuditLog) -> None:
    assert len(control.get("/v1/audit", params={"before": 2**63 - 1}).json()["entries"]) == 3
    assert control.get("/v1/audit", params={"actor": "Łukasz"}).json() == {"entries": []}
