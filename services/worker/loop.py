"""The loop around a worker's threads: it hands them names from the queue, and looks after what others left."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from mlops.database import Database, DatabaseAway
from mlops.jobs.queue import JobQueue, QueueAway
from mlops.jobs.spool import Spool
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES, Job
from mlops.settings import Settings
from services.worker.runner import Runner, Work

STEP_SECONDS: Final = 0.2
END_SECONDS: Final = 3.0
"""How long work gets to end at its next frame."""
ORPHAN_SECONDS: Final = 300.0
"""A folder without a job that nobody writes into so long was left by an upload that was cut off."""
log = logging.getLogger(__name__)


class WorkerHung(Exception):
    """A job does not come back: the process has to end, so that another can give its claim to the next."""


def do_jobs(
    settings: Settings, stopping: threading.Event, works: Mapping[str, Work], alive: Callable[[], bool] = lambda: True
) -> None:
    """Do jobs until ``stopping`` is set or ``alive`` says no; sweep now and then.

    Args:
        settings: The whole tree.
        stopping: Ends it, and the work that runs at its next frame.
        works: What is done for each kind of job.
        alive: Asked every `STEP_SECONDS`.

    Raises:
        WorkerHung: A job was silent for too long.
    """
    store = JobStore(Database(settings.database, TABLES), settings.jobs.result_seconds)
    runner = Runner(
        works,
        store,
        Spool(settings.jobs.spool_path, settings.jobs.reserve_bytes),
        stopping,
        settings.jobs.stall_seconds,
    )
    queue = JobQueue(settings.jobs, runner.run)
    consumer = queue.consumer(settings.jobs.workers)
    consumer.start()
    try:
        wait_seconds = 0.0
        while alive():
            if runner.hung.is_set():
                raise WorkerHung
            if wait_seconds <= 0:
                sweep(runner, queue, settings)
                consumer.check_worker_health()
                wait_seconds = settings.jobs.sweep_seconds
            if stopping.wait(min(STEP_SECONDS, wait_seconds)):
                break
            wait_seconds -= STEP_SECONDS
    finally:
        stopping.set()
        consumer.stop()
        for _, thread in consumer.worker_threads:
            thread.join(END_SECONDS)
        queue.close()
        store.database.close()


def sweep(runner: Runner, queue: JobQueue, settings: Settings) -> None:
    """Put lost jobs back, give up old results, remove media that nobody needs, and put into the queue what it lacks."""
    store, spool = runner.store, runner.spool
    try:
        for identity in store.requeue_lost(settings.jobs.lease_seconds):
            log.warning("a job lost its worker and waits again", extra={"job": identity})
        store.expire(settings.jobs.history_seconds)
        known = {job.identity: job for job in store.newest(None)}
        orphan_seconds = max(ORPHAN_SECONDS, 2 * settings.limits.video_idle_seconds)
        for identity in spool.identities():
            if identity in known or spool.idle_seconds(identity) > orphan_seconds:
                _tidy(runner, identity, known.get(identity))
        if queue.waiting() == 0:
            for identity in store.waiting():
                queue.put(identity)
    except (DatabaseAway, QueueAway, OSError) as error:
        log.warning("jobs were not looked through", extra={"reason": error})


def _tidy(runner: Runner, identity: str, job: Job | None) -> None:
    try:
        runner.tidy(identity, job)
    except OSError as error:
        # The next sweep tries again; what else there is to do does not wait for it.
        log.warning("media of a job cannot be removed", extra={"job": identity, "reason": error})
