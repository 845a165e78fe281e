from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops.audit import TABLES, AuditLog
from mlops.database import Database
from mlops.predictions.grants import GrantStore, NotGranted, check
from mlops.predictions.settings import CaptureSettings
from mlops.settings import DatabaseSettings


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Database]:
    opened = Database(DatabaseSettings(url=SecretStr(f"sqlite:///{tmp_path}/platform.db"), password_file=None), TABLES)
    yield opened
    opened.close()


def settings(*granters: str) -> CaptureSettings:
    return CaptureSettings(
        share=0, release_share=0, path=Path("x"), most_bytes=0, reserve_bytes=0, keep_seconds=1,
        features_land=(), raw_granters=granters, raw_most_seconds=100,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("granters", "seconds", "granted"),
    [(("ann",), 100, True), (("ann",), 101, False), (("ann",), 0, False), (("bob",), 10, False), ((), 10, False)],
)
def test_who_may_grant_and_for_how_long(granters: tuple[str, ...], seconds: float, granted: bool) -> None:
    if granted:
        check("ann", seconds, settings(*granters))
    else:
        with pytest.raises(NotGranted):
            check("ann", seconds, settings(*granters))


def test_a_grant_holds_until_its_end_and_is_in_the_audit_log(platform: Database) -> None:
    now = 1000.0
    store = GrantStore(platform, lambda: now)
    store.grant("faces", "ann", "a face was missed", 50)
    longer = store.grant("faces", "ann", "another", 80)
    assert store.ends() == {"faces": 1080.0}
    assert store.revoke(longer.identity, "bob")
    assert not store.revoke(longer.identity, "bob")
    assert store.ends() == {"faces": 1050.0}
    now = 1050.0
    assert store.ends() == {}
    assert [grant.reason for grant in store.newest()] == ["a face was missed", "another"]
    entries = AuditLog(platform).entries()
    assert [(entry.actor, entry.action) for entry in entries[::-1]] == [
        ("ann", "capture.grant"),
        ("ann", "capture.grant"),
        ("bob", "capture.revoke"),
    ]
    assert entries[0].subject == longer.identity
