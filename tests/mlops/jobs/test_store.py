from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mlops.database import Database, DatabaseAway
from mlops.jobs.spool import new_identity
from mlops.jobs.store import MOST_LOST, JobStore
from mlops.jobs.table import TABLES, Claim, Ending, Job
from mlops.layers import InvalidSettings
from mlops.settings import DatabaseSettings

DONE = Ending("succeeded", report={"faces": 3}, result="result-1", media_type="video/mp4")
BROKEN = Ending("failed", error={"type": "about:blank", "title": "It broke", "detail": None})


def claimed(store: JobStore, identity: str = "one") -> Claim:
    store.add(identity, "mask-video", {"style": "solid"})
    claim = store.claim(identity)
    assert claim is not None
    return claim


def job(store: JobStore, identity: str = "one") -> Job:
    found = store.get(identity)
    assert found is not None
    return found


def test_a_job_goes_its_way(store: JobStore, clock: Any) -> None:
    added = store.add("one", "mask-video", {"style": "blur"})
    assert (added.state, added.attempts, added.progress, added.options) == ("queued", 0, 0.0, {"style": "blur"})
    clock.now += 5
    claim = store.claim("one")
    assert claim is not None
    assert (claim.job.state, claim.job.attempts, claim.job.started) == ("running", 1, clock.now)
    assert store.beat(claim, 0.25)
    assert job(store).progress == 0.25
    clock.now += 5
    assert store.finish(claim, DONE)
    done = job(store)
    assert (done.state, done.progress, done.result, done.report) == ("succeeded", 1.0, "result-1", {"faces": 3})
    assert (done.created, done.ended, done.expires) == (clock.now - 10, clock.now, clock.now + 100)
    assert not done.is_open


def test_a_failed_job_keeps_why_and_no_result(store: JobStore) -> None:
    assert store.finish(claimed(store), BROKEN)
    failed = job(store)
    assert (failed.state, failed.result, failed.expires) == ("failed", None, None)
    assert failed.error == BROKEN.error


def test_what_is_unknown_is_none(store: JobStore) -> None:
    assert store.get("nothing") is None
    assert store.claim("nothing") is None
    assert store.cancel("nothing") is None


def test_a_job_is_claimed_once_however_many_try(store: JobStore) -> None:
    names = [new_identity() for _ in range(12)]
    for name in names:
        store.add(name, "mask-video", {})
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(store.claim, names * 4))
    assert len([claim for claim in claims if claim is not None]) == len(names)
    assert all(job(store, name).attempts == 1 for name in names)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_open_job_is_cancelled_at_once(store: JobStore, state: str) -> None:
    if state == "running":
        claimed(store)
    else:
        store.add("one", "mask-video", {})
    cancelled = store.cancel("one")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert cancelled.ended is not None
    assert store.claim("one") is None


def test_who_works_on_a_cancelled_job_learns_of_it_and_changes_nothing(store: JobStore) -> None:
    claim = claimed(store)
    store.cancel("one")
    assert not store.beat(claim, 0.5)
    assert not store.finish(claim, DONE)
    store.release(claim)
    assert (job(store).state, job(store).result) == ("cancelled", None)


def test_to_cancel_what_is_done_gives_its_result_up(store: JobStore) -> None:
    store.finish(claimed(store), DONE)
    given_up = store.cancel("one")
    assert given_up is not None
    assert (given_up.state, given_up.result) == ("succeeded", None)


def test_a_released_job_waits_again_and_says_why(store: JobStore) -> None:
    claim = claimed(store)
    store.beat(claim, 0.7)
    store.release(claim)
    waiting = job(store)
    assert (waiting.state, waiting.progress, waiting.attempts) == ("queued", 0.0, 1)
    assert "restart" in str(waiting.note)
    again = store.claim("one")
    assert again is not None
    assert again.job.attempts == 2
    assert not store.beat(claim, 0.8), "the first claim is void"
    assert store.finish(again, DONE)


def test_silence_puts_a_job_back_and_beats_keep_it(store: JobStore, clock: Any) -> None:
    silent, loud = claimed(store, "silent"), claimed(store, "loud")
    clock.now += 10
    store.beat(loud, 0.1)
    clock.now += 10
    assert store.requeue_lost(15) == ["silent"]
    assert job(store, "loud").state == "running"
    assert (job(store, "silent").state, job(store, "silent").attempts) == ("queued", 1)
    assert "lost" in str(job(store, "silent").note)
    assert not store.finish(silent, DONE), "a worker that was only slow hands in nothing"


def test_a_job_that_loses_every_worker_fails(store: JobStore, clock: Any) -> None:
    store.add("one", "mask-video", {})
    for attempt in range(1, MOST_LOST + 1):
        assert store.claim("one") is not None
        clock.now += 20
        assert store.requeue_lost(15) == (["one"] if attempt < MOST_LOST else [])
    failed = job(store)
    assert (failed.state, failed.attempts) == ("failed", MOST_LOST)
    assert failed.error is not None
    assert failed.error["type"].endswith(":worker-lost")


def test_restarts_that_were_told_of_never_make_a_job_fail(store: JobStore, clock: Any) -> None:
    store.add("one", "mask-video", {})
    for _ in range(MOST_LOST + 2):
        claim = store.claim("one")
        assert claim is not None
        store.release(claim)
    clock.now += 100
    assert store.requeue_lost(15) == []
    assert job(store).state == "queued"


def test_results_expire_and_jobs_are_forgotten_later(store: JobStore, clock: Any) -> None:
    store.finish(claimed(store), DONE)
    store.add("waiting", "mask-video", {})
    clock.now += 101
    store.expire(history_seconds=200)
    assert (job(store).state, job(store).result, job(store).report) == ("succeeded", None, {"faces": 3})
    clock.now += 100
    store.expire(history_seconds=200)
    assert store.get("one") is None
    assert job(store, "waiting").state == "queued"


def test_lists_are_in_order(store: JobStore, clock: Any) -> None:
    for name in ("first", "second", "third"):
        clock.now += 1
        store.add(name, "mask-video", {})
    assert store.waiting() == ["first", "second", "third"]
    assert [each.identity for each in store.newest(2)] == ["third", "second"]
    claim = store.claim("second")
    assert claim is not None
    store.finish(claim, DONE)
    assert store.waiting() == ["first", "third"]
    assert store.newest(2)[1].report is None


def test_a_database_that_is_away_says_so_and_may_come_back(tmp_path: Path) -> None:
    blocked = tmp_path / "var"
    blocked.write_text("a file where the folder should be")
    url = SecretStr(f"sqlite:///{blocked}/platform.db")
    store = JobStore(Database(DatabaseSettings(url=url, password_file=None), TABLES), 100)
    with pytest.raises(DatabaseAway):
        store.get("one")
    blocked.unlink()
    assert store.get("one") is None
    store.database.close()


def test_two_processes_worth_of_connections_share_a_file(store: JobStore, tmp_path: Path) -> None:
    url = SecretStr(f"sqlite:///{tmp_path}/platform.db")
    other = JobStore(Database(DatabaseSettings(url=url, password_file=None), TABLES), 100)
    names = [new_identity() for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: store.add(name, "mask-video", {}), names))
        claims = list(pool.map(lambda pair: pair[0].claim(pair[1]), [(s, n) for n in names for s in (store, other)]))
    assert len([claim for claim in claims if claim]) == len(names)
    other.database.close()


@pytest.mark.parametrize("url", ["nothing", "mysql://host/name", "sqlite://", "postgresql://host"])
def test_a_url_that_cannot_be_used_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"database\.url"):
        Database(DatabaseSettings(url=SecretStr(url), password_file=None), TABLES)


def test_a_password_file_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    url = SecretStr("postgresql+psycopg2://masker@postgres/platform")
    with pytest.raises(InvalidSettings, match=r"database\.password_file"):
        Database(DatabaseSettings(url=url, password_file=tmp_path / "none"), TABLES)
