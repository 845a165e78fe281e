"""The embedded default: the pipeline, then serving and control in one process, on one port, with no server beside it.

    python -m services.standalone --repro

`dvc repro` runs as a child in a process group of its own, so that a signal ends all of it. The registry is a database
file: as long as it does not change, and no release wants anything of it, nobody opens it, and when one does a
short-lived child brings what is wanted, so that MLflow, which is seconds of import and 200 MB, stays out of the process
that serves. Jobs, such as videos to mask, are done by another child, at low priority, that is kept running as long as
this process is.
"""

import argparse
import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from fastapi import APIRouter

from mlops.database import Database, DatabaseAway
from mlops.folders import entries
from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.registry.bundle import POINTER, BundleError, current, open_bundle
from mlops.registry.refusal import refusal
from mlops.registry.settings import RegistrySettings
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings, load_settings
from mlops.telemetry import switch_off
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.asgi.server import check_free, run
from services.control.app import control_part
from services.control.lookup import File
from services.serving.app import TITLE, serving_part
from services.worker.child import jobs_part, run_to_end
from services.worker.duties import duties
from services.worker.rounds import rounds_part

END_SECONDS: Final = 5.0
"""How long a child gets between being asked to end and being killed; the whole must be gone within 10 s."""
WAKE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
PULL: Final = (sys.executable, "-m", "services.worker", "--once")
log = logging.getLogger(__name__)


def repro() -> int:
    """Run `dvc repro` and give its exit code; a signal to this process ends the stage that runs, too.

    What the process was told to ignore, such as the end of its terminal by `nohup`, it goes on ignoring.
    """
    child: subprocess.Popen[bytes] | None = None
    asked = 0

    def stop(number: int, _: types.FrameType | None) -> None:
        nonlocal asked
        is_first, asked = not asked, asked or 128 + number
        # What is just being started cannot be ended yet, and nothing may disturb its end.
        if is_first and child is not None:
            raise SystemExit(asked)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        switch_off()
        child = subprocess.Popen([str(Path(sys.executable).with_name("dvc")), "repro"], start_new_session=True)
        if asked:
            raise SystemExit(asked)
        while True:
            # A signal that finds this process just before it falls asleep is heard on waking.
            with suppress(subprocess.TimeoutExpired):
                return child.wait(WAKE_SECONDS)
    finally:
        if child is not None:
            end_group(child)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Ask a child and all that it started to end, and kill what is left after `END_SECONDS`."""
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def database_stamp(tracking_uri: str) -> str | None:
    """Give a text that changes whenever the registry's database file does; None where there is no such file."""
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_mtime_ns}-{status.st_size}"


def needs(store: ReleaseStore, root: Path) -> tuple[str, ...]:
    """Give what releases and experiments want of the registry: aliases that wait, and versions that lie nowhere yet."""
    try:
        aliases = [operation.token for operation in store.aliases_pending()]
        versions = [
            f"{model}/{version}"
            for model, version in store.wanted()
            if refusal(root, model, version) is None and not lies(root, model, version)
        ]
    except DatabaseAway:
        return ()
    return (*aliases, *versions)


def lies(root: Path, model: str, version: str) -> bool:
    """Say whether a version lies in the folder of bundles, and every file of it is what its manifest says."""
    try:
        open_bundle(root / model / version, version)
    except BundleError:
        return False
    return True


def damaged(root: Path) -> bool:
    """Say whether a model has a champion here that cannot be opened."""
    try:
        for model in (model for model in entries(root) if entries(model, POINTER)):
            current(root, model.name)
    except BundleError:
        return True
    return False


class Patience:
    """Says when work that failed may be tried again: the pauses double while it is the same; other work may at once.

    Args:
        pause_seconds: The first pause.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, pause_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first = pause_seconds
        self._pause = pause_seconds
        self._clock = clock
        self._failed: Hashable = None
        self._due = 0.0

    def allows(self, work: Hashable) -> bool:
        """Say whether this work may be tried now."""
        return work != self._failed or self._clock() >= self._due

    def note(self, work: Hashable, well: bool) -> None:
        """Take in how a try went."""
        self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause) if work == self._failed else self._first
        self._failed = None if well else work
        self._due = self._clock() + self._pause


def follower_part(settings: Settings) -> Part:
    """Return the part that watches the registry's database file, and what is wanted of it, and has it seen to."""
    database = Database(settings.database, TABLES)
    store = ReleaseStore(database)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        task = asyncio.create_task(_follow(settings.registry, store), name="follow-registry")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            database.close()

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))


async def _follow(registry: RegistrySettings, store: ReleaseStore) -> None:
    seen = registry.bundles_path / registry.model / "registry-seen"
    patience, is_first = Patience(registry.poll_seconds), True
    while True:
        try:
            # What a disk has damaged since is brought again, although the registry is as it was.
            if is_first and await asyncio.to_thread(damaged, registry.bundles_path):
                seen.unlink(missing_ok=True)
            is_first = False
            await _look(registry, store, seen, patience)
        except Exception:
            # Nobody would notice that the task is gone until a version does not come.
            log.exception("the registry was not looked at")
        await asyncio.sleep(registry.poll_seconds)


async def _look(registry: RegistrySettings, store: ReleaseStore, seen: Path, patience: Patience) -> None:
    stamp = database_stamp(registry.tracking_uri)
    if stamp is None:
        return
    wanted = await asyncio.to_thread(needs, store, registry.bundles_path)
    work = (stamp, *wanted)
    if (wanted or stamp != _read(seen)) and patience.allows(work):
        code = await run_to_end(PULL)
        patience.note(work, code == 0)
        if code == 0:
            _note(seen, stamp)


def _note(path: Path, stamp: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(stamp, encoding="utf-8")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def parts(settings: Settings, metrics: Metrics) -> list[Part]:
    """Return what runs in the one process.

    Raises:
        InvalidSettings: The registry is no database file: a server's champion is brought by the worker service.
    """
    if not settings.registry.tracking_uri.startswith("sqlite:///"):
        raise InvalidSettings(
            "registry.tracking_uri: in one process it is sqlite:///…; with a server run services.worker"
        )
    return [
        serving_part(settings, metrics),
        control_part(settings, File(settings.registry.tracking_uri)),
        follower_part(settings),
        rounds_part(duties(settings, metrics), metrics),
        jobs_part(settings, metrics),
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run the pipeline if asked to, then serve until a signal says stop.

    Raises:
        SystemExit: The settings are wrong, a stage of the pipeline failed, or the address is taken.
    """
    parser = argparse.ArgumentParser(prog="python -m services.standalone", description="Everything in one process.")
    parser.add_argument("--repro", action="store_true", help="run the stages of the pipeline that have changed first")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings()
        metrics = Metrics()
        app = create_app(settings, metrics, parts(settings, metrics), TITLE)
    except InvalidSettings as error:
        raise SystemExit(f"settings:\n{error}") from None
    # Before minutes of training, not after.
    check_free(settings.server)
    if asked.repro and (code := repro()):
        raise SystemExit(code)
    configure_logging(settings.logging)
    sys.stderr.write(f"serving on http://{settings.server.host}:{settings.server.port} (docs at /docs, Ctrl-C ends)\n")
    run(app, settings.server)


if __name__ == "__main__":
    main()
