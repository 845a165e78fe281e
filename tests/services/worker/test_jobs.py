"""Jobs from the table to their end, with kinds of work that a test makes up."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from masking.errors import DamagedMedia
from mlops.database import Database
from mlops.folders import entries
from mlops.jobs.queue import JobQueue
from mlops.jobs.spool import Spool, new_identity
from mlops.jobs.store import JobStore
from mlops.jobs.table import JOBS, TABLES, Job
from mlops.settings import Settings, load_settings
from services.worker import loop
from services.worker.attempt import AttemptOver
from services.worker.loop import WorkerHung, do_jobs
from services.worker.runner import Outcome, Runner, Task
from tests.patience import PATIENCE_SECONDS, until
from tests.vanishing import vanishing

# Work of the kind `slow` that a process of its own does, so that it can be killed.
SLOW_WORKER = """
import sys, threading, time
from mlops.settings import load_settings
from services.worker.loop import do_jobs
from services.worker.runner import Outcome

def slow(task):
    task.target.write_bytes(b"half")
    while True:
        task.observer.progress(1, 4)
        time.sleep(0.05)

print("ready", flush=True)
do_jobs(load_settings(), threading.Event(), {"slow": slow})
"""


def shout(task: Task) -> Outcome:
    """Work that takes two steps and writes its input in capitals."""
    task.observer.progress(1, 2)
    task.target.write_bytes(task.source.read_bytes().upper())
    return Outcome({"style": task.options["style"]}, "text/plain", needs_review=task.options["style"] == "doubtful")


@dataclass
class Gated:
    """Work that goes on for as long as its gate is closed, telling its observer again and again, unless it hangs."""

    began: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    ended: list[type[Exception]] = field(default_factory=list)
    hangs: bool = False

    def __call__(self, task: Task) -> Outcome:
        task.target.write_bytes(b"half")
        self.began.set()
        try:
            while not self.gate.wait(0.01):
                if not self.hangs:
                    task.observer.progress(1, 4)
        except AttemptOver as error:
            self.ended.append(type(error))
            raise
        return Outcome({}, "text/plain")


class Platform:
    """Table, queue and spool in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.environ = {
            "MASKER_DATABASE__URL": f"sqlite:///{folder}/platform.db",
            "MASKER_JOBS__SPOOL_PATH": str(folder / "jobs"),
            # No machine is so busy that who works is taken for dead; time passes for who is, see `forget`.
            "MASKER_JOBS__LEASE_SECONDS": str(PATIENCE_SECONDS),
            "MASKER_JOBS__SWEEP_SECONDS": "0.2",
            "MASKER_JOBS__RESERVE_BYTES": "0",
        }
        self.settings: Settings = load_settings(environ=self.environ)
        self.store = JobStore(Database(self.settings.database, TABLES), 100)
        self.spool = Spool(self.settings.jobs.spool_path, 0)
        self.queue = JobQueue(self.settings.jobs)

    def add(self, kind: str, data: bytes = b"quiet", queued: bool = True, **options: str) -> str:
        identity = new_identity()
        self.spool.make(identity).write_bytes(data)
        self.store.add(identity, kind, {"style": "solid"} | options)
        if queued:
            self.queue.put(identity)
        return identity

    def job(self, identity: str) -> Job:
        job = self.store.get(identity)
        assert job is not None
        return job

    def until(self, identity: str, state: str) -> Job:
        until(lambda: self.job(identity).state == state, 0.05)
        return self.job(identity)

    def forget(self) -> None:
        """Let so much time pass that who does a job now and has not said so since is dead."""
        past = JOBS.c.beaten - 2 * PATIENCE_SECONDS
        with self.store.database.transaction() as connection:
            connection.execute(sa.update(JOBS).values(beaten=past))

    def files(self, identity: str) -> list[str]:
        return [file.name for file in entries(self.spool.folder(identity))]

    def runner(self, **kinds: Callable[[Task], Outcome]) -> Runner:
        return Runner(kinds, self.store, self.spool, threading.Event(), 60)

    @contextmanager
    def working(self, **kinds: Callable[[Task], Outcome]) -> Iterator[None]:
        """Do jobs in a thread while the context is open."""
        stopping = threading.Event()
        thread = threading.Thread(target=do_jobs, args=(self.settings, stopping, kinds))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path)
    yield made
    made.queue.close()
    made.store.database.close()


@pytest.mark.parametrize(("style", "state"), [("solid", "succeeded"), ("doubtful", "needs_review")])
def test_a_job_is_done_and_only_its_result_is_kept(platform: Platform, style: str, state: str) -> None:
    identity = platform.add("shout", style=style)
    platform.runner(shout=shout).run(identity)
    job = platform.job(identity)
    assert (job.state, job.media_type, job.report) == (state, "text/plain", {"style": style})
    assert platform.files(identity) == [job.result]
    assert (platform.spool.folder(identity) / str(job.result)).read_bytes() == b"QUIET"


def test_a_result_that_is_withheld_leaves_no_media(platform: Platform) -> None:
    identity = platform.add("withhold")
    platform.runner(withhold=lambda task: Outcome({"doubt": 1}, "text/plain", needs_review=True)).run(identity)
    assert (platform.job(identity).state, platform.job(identity).result) == ("needs_review", None)
    assert platform.files(identity) == []


def fail(error: Exception) -> Callable[[Task], Outcome]:
    def work(task: Task) -> Outcome:
        task.target.write_bytes(b"half")
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "slug", "detail"),
    [
        (DamagedMedia("it ends early"), "damaged-media", "it ends early"),
        (OSError("/secret/path"), "internal", None),
        (MemoryError(), "internal", None),
    ],
)
def test_whatever_goes_wrong_is_the_jobs_error_and_leaves_no_media(
    platform: Platform, error: Exception, slug: str, detail: str | None
) -> None:
    identity = platform.add("fail")
    platform.runner(fail=fail(error)).run(identity)
    failed = platform.job(identity)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["type"].endswith(f":{slug}")
    assert failed.error["detail"] == detail
    assert platform.files(identity) == []


def test_an_unknown_kind_fails(platform: Platform) -> None:
    identity = platform.add("nonsense")
    platform.runner(shout=shout).run(identity)
    assert platform.job(identity).state == "failed"


def test_what_does_not_wait_is_not_done(platform: Platform) -> None:
    identity = platform.add("shout")
    platform.store.cancel(identity)
    platform.runner(shout=shout).run(identity)
    platform.runner(shout=shout).run(new_identity())
    assert platform.job(identity).attempts == 0


def test_what_a_killed_attempt_left_is_gone_before_the_next(platform: Platform) -> None:
    identity = platform.add("look")
    (platform.spool.folder(identity) / "result-0").write_bytes(b"half")
    seen: list[list[str]] = []

    def look(task: Task) -> Outcome:
        seen.append(platform.files(identity))
        return shout(task)

    platform.runner(look=look).run(identity)
    assert seen == [["input"]]


def test_a_running_job_that_is_cancelled_stops_soon_and_leaves_no_media(platform: Platform) -> None:
    work = Gated()
    identity = platform.add("gated")
    with platform.working(gated=work):
        assert work.began.wait(PATIENCE_SECONDS)
        until(lambda: platform.job(identity).progress == 0.25)
        platform.store.cancel(identity)
        until(lambda: not platform.files(identity))
    assert work.ended == [AttemptOver]
    assert platform.job(identity).state == "cancelled"


def test_a_worker_that_stops_hands_its_job_to_the_next(platform: Platform) -> None:
    work = Gated()
    identity = platform.add("gated")
    with platform.working(gated=work):
        assert work.began.wait(PATIENCE_SECONDS)
    waiting = platform.job(identity)
    assert (waiting.state, waiting.attempts) == ("queued", 1)
    assert platform.files(identity) == ["input", "result-1"]
    with platform.working(gated=shout):
        done = platform.until(identity, "succeeded")
    assert done.attempts == 2
    assert "restart" in str(done.note)
    assert platform.files(identity) == ["result-2"]


def test_jobs_that_the_queue_lost_are_found_in_the_table(platform: Platform) -> None:
    lost = [platform.add("shout", queued=False) for _ in range(3)]
    with platform.working(shout=shout):
        for identity in lost:
            platform.until(identity, "succeeded")
    assert all(platform.job(identity).attempts == 1 for identity in lost)


def test_two_workers_share_the_jobs_and_do_each_once(platform: Platform) -> None:
    names = [platform.add("shout") for _ in range(10)]
    for name in names:
        platform.queue.put(name)
    with platform.working(shout=shout), platform.working(shout=shout):
        for name in names:
            platform.until(name, "succeeded")
    assert all(platform.job(name).attempts == 1 for name in names)


def test_the_sweep_removes_what_belongs_to_nothing(platform: Platform) -> None:
    stale, fresh, done = new_identity(), new_identity(), platform.add("shout")
    hour_ago = time.time() - 3600
    for name in (stale, fresh):
        platform.spool.make(name).write_bytes(b"half an upload")
    for path in (platform.spool.source(stale), platform.spool.folder(stale)):
        os.utime(path, (hour_ago, hour_ago))
    with platform.working(shout=shout):
        platform.until(done, "succeeded")
        platform.store.cancel(done)
        until(lambda: not platform.files(stale) and not platform.files(done))
    assert platform.files(fresh) == ["input"], "an upload that is still on its way"


def test_uploads_may_be_cut_off_while_somebody_sweeps(platform: Platform) -> None:
    """Whoever took an upload removes its folder; nothing else that the worker does may end for that."""
    with vanishing(platform.spool.root, "input"):
        for _ in range(100):
            loop.sweep(platform.runner(), platform.queue, platform.settings)


@contextmanager
def slow_worker(platform: Platform) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_WORKER], env=os.environ | platform.environ, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_job_survives_a_worker_that_is_killed(platform: Platform) -> None:
    identity = platform.add("slow")
    with slow_worker(platform) as child:
        platform.until(identity, "running")
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE_SECONDS)
    assert platform.job(identity).state == "running", "nobody knows yet"
    platform.forget()
    with platform.working(slow=shout):
        done = platform.until(identity, "succeeded")
    assert done.attempts == 2
    assert "lost" in str(done.note)
    assert platform.files(identity) == ["result-2"]


def test_work_that_hangs_ends_its_worker_and_the_job_goes_to_the_next(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.settings = load_settings(environ=platform.environ | {"MASKER_JOBS__STALL_SECONDS": "0.3"})
    work, before = Gated(hangs=True), set(threading.enumerate())
    identity = platform.add("gated")
    with monkeypatch.context() as hurried:
        hurried.setattr(loop, "END_SECONDS", 0.1)
        with pytest.raises(WorkerHung):
            do_jobs(platform.settings, threading.Event(), {"gated": work})
    platform.forget()
    platform.settings = load_settings(environ=platform.environ)
    with platform.working(gated=shout):
        assert platform.until(identity, "succeeded").attempts == 2
    # What hung comes back after all: it changes nothing any more, and goes on beside no other test.
    work.gate.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_SECONDS)
    assert (platform.job(identity).state, platform.files(identity)) == ("succeeded", ["result-2"])
