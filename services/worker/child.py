"""Keeps the process that does jobs: starts it, starts it again when it dies, ends it with its parent."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import APIRouter

from mlops.database import Database
from mlops.jobs.collector import JobCollector
from mlops.jobs.table import TABLES
from mlops.metrics import Metrics
from mlops.settings import Settings
from services.asgi.app import Part
from services.asgi.health import Readiness

COMMAND: Final = (sys.executable, "-m", "services.worker.jobs", "--parent", str(os.getpid()))
END_SECONDS: Final = 4.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 30.0
"""Who lived so long is started again without much of a pause."""
log = logging.getLogger(__name__)


def jobs_part(settings: Settings, metrics: Metrics) -> Part:
    """Return the part that does jobs, in a process of its own, and shows their metrics."""
    database = Database(settings.database, TABLES)
    metrics.registry.register(JobCollector(database))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with kept_running(COMMAND):
            yield
        database.close()

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))


@asynccontextmanager
async def kept_running(command: Sequence[str]) -> AsyncIterator[None]:
    """Keep a process running while the context is open, with pauses that double while it dies young."""
    task = asyncio.create_task(_keep(command), name="keep-jobs")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep(command: Sequence[str]) -> None:
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            code: int | str = await run_to_end(command)
        except OSError as error:
            # The system may be short of memory or processes for now.
            code = repr(error)
        if time.monotonic() - began >= STEADY_SECONDS:
            pause_seconds = FIRST_PAUSE_SECONDS
        log.error("the process that does jobs has ended", extra={"code": code, "pause_seconds": pause_seconds})
        await asyncio.sleep(pause_seconds)
        pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)


async def run_to_end(command: Sequence[str]) -> int:
    """Run a process and return its exit code; cancelled, it asks the process to end, and kills it if it does not soon.

    Raises:
        OSError: It cannot be started.
    """
    # A session of its own: Ctrl-C reaches it by way of its parent alone, which waits for it.
    child = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    try:
        return await child.wait()
    except asyncio.CancelledError:
        await _end(child)
        raise


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), END_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
