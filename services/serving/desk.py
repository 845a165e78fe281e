"""Where jobs are taken and asked about: the table, the queue and the spool behind one door for the event loop."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from mlops.database import Database, DatabaseAway
from mlops.jobs.queue import JobQueue, QueueAway
from mlops.jobs.spool import IDENTITY_PATTERN, Spool
from mlops.jobs.store import JobStore
from mlops.jobs.table import QUEUED, RUNNING, TABLES, WITH_RESULT, Job
from mlops.settings import Settings
from services.asgi.errors import Busy, JobsAway, NoResult, NotDone, ResultGone, UnknownJob
from services.serving.result_file import GONE

T = TypeVar("T")
LISTED: Final = 100
AGAIN_SECONDS: Final = 5
UNKNOWN: Final = "there is none of that name, or none any more"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobDesk:
    """Takes jobs in and tells of them. Every method raises JobsAway where the table does not answer."""

    store: JobStore
    queue: JobQueue
    spool: Spool
    most_waiting: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the desk that the settings describe; nothing is opened before the first job.

        Raises:
            InvalidSettings: The database or the queue cannot be used as they are given.
        """
        jobs = settings.jobs
        store = JobStore(Database(settings.database, TABLES), jobs.result_seconds)
        return cls(store, JobQueue(jobs), Spool(jobs.spool_path, jobs.reserve_bytes), jobs.most_waiting)

    async def check_room(self) -> None:
        """Raise Busy where as many jobs wait as may."""
        if len(await self._ask(self.store.waiting)) >= self.most_waiting:
            raise Busy("as many jobs wait as may; come back later", AGAIN_SECONDS)

    async def add(self, identity: str, kind: str, options: Mapping[str, Any]) -> Job:
        """Take a job whose input lies in the spool."""
        job = await self._ask(lambda: self.store.add(identity, kind, options))
        try:
            await asyncio.to_thread(self.queue.put, identity)
        except QueueAway:
            # The table has it: a worker looks there for what the queue lacks.
            log.warning("the queue did not take a job", extra={"job": identity})
        return job

    async def get(self, identity: str) -> Job:
        """Return a job; raises UnknownJob."""
        _check_name(identity)
        return _known(await self._ask(lambda: self.store.get(identity)))

    async def newest(self) -> list[Job]:
        """Return the newest jobs, newest first, without their reports."""
        return await self._ask(lambda: self.store.newest(LISTED))

    async def cancel(self, identity: str) -> Job:
        """End a job, or give up its result, and delete its media; raises UnknownJob."""
        _check_name(identity)
        job = _known(await self._ask(lambda: self.store.cancel(identity)))
        await asyncio.to_thread(self.spool.remove, identity)
        return job

    async def result(self, identity: str) -> tuple[Job, Path]:
        """Return a job and the file with its result.

        Raises:
            UnknownJob, NotDone, NoResult, ResultGone: There is none to give.
        """
        job = await self.done(identity)
        file = self.spool.folder(identity) / (job.result or "")
        if job.result is None or not await asyncio.to_thread(file.is_file):
            raise ResultGone(GONE)
        return job, file

    async def done(self, identity: str) -> Job:
        """Return a job that has been done; errors as in `result`, but ResultGone."""
        job = await self.get(identity)
        if job.state in (QUEUED, RUNNING):
            raise NotDone("it waits or runs; ask again", AGAIN_SECONDS)
        if job.state not in WITH_RESULT:
            raise NoResult("it failed or was cancelled; the job itself says more")
        return job

    def close(self) -> None:
        """Close what is open."""
        self.store.database.close()

    async def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(ask)
        except DatabaseAway:
            raise JobsAway("try again shortly", AGAIN_SECONDS) from None


def _check_name(identity: str) -> None:
    """Raise UnknownJob for what is no name at all: neither the table nor the spool is asked for it."""
    if re.fullmatch(IDENTITY_PATTERN, identity) is None:
        raise UnknownJob(UNKNOWN)


def _known(job: Job | None) -> Job:
    if job is None:
        raise UnknownJob(UNKNOWN)
    return job
