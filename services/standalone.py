"""The embedded default: the pipeline, then serving and control in one process, on one port, with no server beside it.

    python -m services.standalone --repro

`dvc repro` runs as a child in a process group of its own, so that a signal ends all of it. The registry is a database
file: as long as it does not change nobody opens it, and when it does a short-lived child brings the new champion, so
that MLflow, which is seconds of import and 200 MB, stays out of the process that serves. Jobs, such as videos to mask,
are done by another child, at low priority, that is kept running as long as this process is.
"""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from fastapi import APIRouter

from mlops.layers import InvalidSettings
from mlops.logging import configure_logging
from mlops.metrics import Metrics
from mlops.settings import RegistrySettings, Settings, load_settings
from mlops.telemetry import switch_off
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.asgi.server import run
from services.control.app import control_part
from services.serving.app import TITLE, serving_part
from services.worker.child import jobs_part

END_SECONDS: Final = 5.0
"""How long a child gets between being asked to end and being killed; the whole must be gone within 10 s."""


def repro() -> int:
    """Run `dvc repro` and give its exit code; a signal to this process ends the stage that runs, too."""

    def stop(number: int, _: types.FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    switch_off()
    child = subprocess.Popen([str(Path(sys.executable).with_name("dvc")), "repro"], start_new_session=True)
    try:
        return child.wait()
    finally:
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


def check_free(host: str, port: int) -> None:
    """Raise SystemExit where the address is taken: before minutes of training, not after."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SystemExit(f"{host}:{port} cannot be used ({error.strerror}): set MASKER_SERVER__PORT") from None


def database_stamp(tracking_uri: str) -> str | None:
    """Give a text that changes whenever the registry's database file does; None where there is no such file."""
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{status.st_mtime_ns}-{status.st_size}"


def follower_part(settings: RegistrySettings) -> Part:
    """Return the part that watches the registry's database file and has its champion brought when it changes."""
    seen = settings.bundles_path / settings.model / "registry-seen"

    async def follow() -> None:
        while True:
            stamp = database_stamp(settings.tracking_uri)
            if stamp is not None and stamp != _read(seen) and await _pull() == 0:
                seen.parent.mkdir(parents=True, exist_ok=True)
                seen.write_text(stamp, encoding="utf-8")
            await asyncio.sleep(settings.poll_seconds)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        task = asyncio.create_task(follow(), name="follow-registry")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))


async def _pull() -> int:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.worker", "--once")
    try:
        return await child.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        raise


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
    follower, jobs = follower_part(settings.registry), jobs_part(settings, metrics)
    return [serving_part(settings, metrics), control_part(settings), follower, jobs]


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
    check_free(settings.server.host, settings.server.port)
    if asked.repro and (code := repro()):
        raise SystemExit(code)
    configure_logging(settings.logging)
    sys.stderr.write(f"serving on http://{settings.server.host}:{settings.server.port} (docs at /docs, Ctrl-C ends)\n")
    run(app, settings.server)


if __name__ == "__main__":
    main()
