import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from masking.policy import VideoPolicy
from mlops.jobs.spool import Spool, new_identity
from mlops.jobs.store import JobStore
from mlops.metrics import Metrics
from mlops.settings import Settings, load_settings
from services.asgi.app import create_app
from services.worker import child
from services.worker.child import jobs_part, kept_running
from services.worker.kinds import MASK_VIDEO
from tests.patience import PATIENCE_SECONDS, until, until_true

LIVES = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
DIES = "import os, sys; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')"
# The process sends itself a signal while it waits, and holds the lock of what it waits for.
SIGNALLED = """
import os, signal, sys, threading
wait = threading.Event.wait
def signalled(self, timeout=None):
    if sys._getframe(1).f_code.co_name == "do_jobs":
        with self._cond:
            os.kill(os.getpid(), signal.SIGTERM)
    return wait(self, timeout)
threading.Event.wait = signalled
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LIVES


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids_in(file: Path) -> list[int]:
    return (
        [int(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if file.exists()
        else []
    )


async def started(file: Path, times: int) -> list[int]:
    return await until_true(lambda: pids if len(pids := pids_in(file)) >= times else [])


@pytest.mark.parametrize("program", [LIVES, DEAF])
def test_the_child_ends_with_the_context(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "END_SECONDS", 0.5)

    async def run() -> int:
        async with kept_running([sys.executable, "-c", program, str(tmp_path / "pids")]):
            (pid,) = await started(tmp_path / "pids", 1)
            assert lives(pid)
        return pid

    assert not lives(asyncio.run(run()))


def test_a_child_that_is_killed_is_replaced(tmp_path: Path) -> None:
    async def run() -> None:
        async with kept_running([sys.executable, "-c", LIVES, str(tmp_path / "pids")]):
            (first,) = await started(tmp_path / "pids", 1)
            os.kill(first, 9)
            _, second = await started(tmp_path / "pids", 2)
            assert lives(second)

    asyncio.run(run())


def test_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE_SECONDS", 0.01)
    program = tmp_path / "program"

    async def run() -> None:
        async with kept_running([str(program), "-c", LIVES, str(tmp_path / "pids")]):
            await until_true(lambda: len(caplog.records) > 1)
            program.symlink_to(sys.executable)
            await started(tmp_path / "pids", 1)

    asyncio.run(run())


def test_one_that_dies_young_is_tried_less_and_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "FIRST_PAUSE_SECONDS", 0.2)

    async def run() -> float:
        async with kept_running([sys.executable, "-c", DIES, str(tmp_path / "pids")]):
            begin = time.monotonic()
            await started(tmp_path / "pids", 4)
            return time.monotonic() - begin

    assert asyncio.run(run()) >= 0.2 + 0.4 + 0.8


def test_the_part_does_jobs_in_another_process_and_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_store: Callable[[Settings], JobStore]
) -> None:
    # The child reads the same settings from the environment that it inherits.
    monkeypatch.setenv("MASKER_DATABASE__URL", f"sqlite:///{tmp_path}/platform.db")
    monkeypatch.setenv("MASKER_JOBS__SPOOL_PATH", str(tmp_path / "jobs"))
    monkeypatch.setenv("MASKER_JOBS__RESERVE_BYTES", "0")
    monkeypatch.setenv("MASKER_JOBS__LEASE_SECONDS", str(PATIENCE_SECONDS))
    settings, metrics = load_settings(), Metrics()
    app = create_app(settings, metrics, [jobs_part(settings, metrics)], "test")
    store = make_store(settings)
    identity = new_identity()
    Spool(settings.jobs.spool_path, 0).make(identity).write_bytes(b"no video at all")
    store.add(identity, MASK_VIDEO, VideoPolicy().facts())
    assert metrics.registry.get_sample_value("masker_jobs_waiting") == 1
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        job = until(lambda: None if (now := store.get(identity)) is None or now.is_open else now, 0.1)
        shown = client.get("/metrics").text
        until(lambda: not (tmp_path / "jobs" / identity).exists())
    assert (job.state, job.attempts) == ("failed", 1)
    assert 'masker_jobs_total{kind="mask-video",state="failed"} 1.0' in shown


def ended(folder: Path, *arguments: str, **variables: str) -> int:
    """Run the process that does jobs until it ends by itself; gives its exit code."""
    environ = {"MASKER_DATABASE__URL": f"sqlite:///{folder}/platform.db", "MASKER_JOBS__SPOOL_PATH": str(folder)}
    command = [sys.executable, "-m", "services.worker.jobs", *arguments]
    return subprocess.run(
        command, env=os.environ | environ | variables, timeout=PATIENCE_SECONDS, check=False
    ).returncode


def test_who_is_not_its_parents_child_ends_at_once(tmp_path: Path) -> None:
    assert ended(tmp_path, "--parent", str(os.getppid())) == 0


def test_a_signal_ends_it_whatever_it_interrupts(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SIGNALLED, encoding="utf-8")
    assert ended(tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path])) == 0
