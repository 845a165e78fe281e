"""The audit log: it only grows, and whoever changes it is found out."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlops.audit import AUDIT, AuditLog
from mlops.database import Database, DatabaseAway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "platform.db"


@pytest.fixture
def log(database: Database) -> AuditLog:
    return AuditLog(database, lambda: 1_700_000_000.123456)


def written(log: AuditLog, count: int = 5) -> None:
    for number in range(count):
        log.append("ada", "release.pause", f"release-{number % 2}", {"number": number, "name": "Ärger", "share": 0.1})


def forge(file: Path, statement: str) -> None:
    """Do to the file what somebody with all rights could do."""
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_log_no_update")
        connection.execute("DROP TRIGGER IF EXISTS audit_log_no_delete")
        connection.execute(statement)
    connection.close()


def test_entries_are_told_newest_first(log: AuditLog) -> None:
    assert log.entries() == []
    assert log.verify() is None
    written(log)
    entries = log.entries()
    assert [entry.sequence for entry in entries] == [5, 4, 3, 2, 1]
    assert entries[0].details == {"number": 4, "name": "Ärger", "share": 0.1}
    assert (entries[0].actor, entries[0].action, entries[0].time) == ("ada", "release.pause", 1_700_000_000.123456)
    assert [entry.sequence for entry in log.entries(subject="release-1")] == [4, 2]
    assert log.entries(actor="bob") == []
    assert [entry.sequence for entry in log.entries(before=4, most=2)] == [3, 2]
    assert log.verify() is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit_log SET actor = 'bob' WHERE sequence = 3", 3),
        ("UPDATE audit_log SET details = '{}' WHERE sequence = 1", 1),
        ("UPDATE audit_log SET time = time + 1 WHERE sequence = 5", 5),
        ("UPDATE audit_log SET digest = '0' WHERE sequence = 2", 2),
        ("UPDATE audit_log SET details = x'00ff' WHERE sequence = 3", 3),
        ("UPDATE audit_log SET details = '{' WHERE sequence = 4", 4),
        ("DELETE FROM audit_log WHERE sequence = 1", 1),
        ("DELETE FROM audit_log WHERE sequence = 3", 3),
        ("UPDATE audit_log SET sequence = 9 WHERE sequence = 5", 5),
        ("INSERT INTO audit_log SELECT 6, time, actor, action, subject, details, digest FROM audit_log LIMIT 1", 6),
    ],
)
def test_the_first_entry_that_was_tampered_with_is_named(
    log: AuditLog, file: Path, statement: str, broken: int
) -> None:
    written(log)
    assert log.verify() is None
    forge(file, statement)
    assert log.verify() == broken
    assert {entry.sequence for entry in log.entries()} >= {2, 4} - {broken}, "the others can be read all the same"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("time = 'abc'", {"time": None}),
        ("time = 1e300", {"time": None}),
        ("time = -1", {"time": None}),
        ("time = x'00'", {"time": None}),
        ("actor = x'61ff'", {"actor": "a\\xff"}),
        ("actor = CAST(x'61ff' AS TEXT)", {"actor": "a\\udcff"}),
        ("digest = x'ff'", {"digest": "\\xff"}),
        ("sequence = 'abc'", {"sequence": 0}),
        ("details = '{'", {"details": {"unreadable": "{"}}),
        ("details = x'00ff'", {"details": {"unreadable": "\x00\\xff"}}),
        ('details = \'{"a": "\\ud800"}\'', {"details": {"unreadable": '{"a": "\\ud800"}'}}),
        (
            f"details = '{{\"a\": {'[' * 10_000}{']' * 10_000}}}'",
            {"details": {"unreadable": f'{{"a": {"[" * 10_000}{"]" * 10_000}}}'}},
        ),
    ],
)
def test_an_entry_that_was_damaged_is_told_as_well_as_it_can_be(
    log: AuditLog, file: Path, change: str, told: dict[str, object]
) -> None:
    written(log)
    forge(file, f"UPDATE audit_log SET {change} WHERE sequence = 3")
    (damaged,) = [entry for entry in log.entries() if entry.damaged]
    assert {name: getattr(damaged, name) for name in told} == told
    assert (damaged.action, damaged.subject) == ("release.pause", "release-0")
    assert [entry.sequence for entry in log.entries() if not entry.damaged] == [5, 4, 2, 1]
    assert log.verify() == 3


def test_a_cut_end_is_found_out_by_a_digest_noted_elsewhere(log: AuditLog, file: Path) -> None:
    written(log)
    noted, early = log.entries()[0].digest, log.entries()[4].digest
    assert log.verify(noted) is None
    forge(file, "DELETE FROM audit_log WHERE sequence = 5")
    assert log.verify() is None
    assert log.verify(early) is None
    assert log.verify(noted) == 5


@pytest.mark.parametrize("statement", [sa.delete(AUDIT), sa.update(AUDIT).values(actor="bob")])
def test_the_database_itself_refuses_changes(log: AuditLog, statement: sa.Executable) -> None:
    written(log)
    with pytest.raises(DatabaseAway), log.database.transaction() as connection:
        connection.execute(statement)
    assert [entry.actor for entry in log.entries()] == ["ada"] * 5


def test_an_entry_is_there_with_what_it_tells_of_or_not_at_all(log: AuditLog) -> None:
    with pytest.raises(DatabaseAway), log.database.transaction() as connection:
        _append_and_fail(log, connection)
    assert log.entries() == []
    with log.database.transaction() as connection:
        log.append("ada", "release.pause", "release", connection=connection)
    assert [entry.details for entry in log.entries()] == [{}]


def test_many_who_write_at_the_same_time_make_one_chain(log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.append(f"actor-{number}", "act", "subject"), range(40)))
    assert log.verify() is None
    assert {entry.actor for entry in log.entries()} == {f"actor-{number}" for number in range(40)}


def _append_and_fail(log: AuditLog, connection: sa.Connection) -> None:
    log.append("ada", "release.pause", "release", connection=connection)
    connection.execute(sa.text("SELECT * FROM nothing"))
