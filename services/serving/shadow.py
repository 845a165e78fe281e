"""Copies of requests for a candidate that answers nobody: one at a time, and only while nothing else waits.

What comes of a copy is compared, told as a row, and thrown away.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from masking.errors import DeadlineExceeded
from mlops.metrics import Metrics
from mlops.predictions.row import FAILED, new_identity
from services.asgi.errors import Busy
from services.serving.account import Account
from services.serving.admission import Admission
from services.serving.endpoints import Chosen
from services.serving.ledger import Ledger
from services.serving.watch import StageWatch

NICENESS: Final = 19
Work = Callable[[Account, StageWatch], None]
"""Does a copy: gives its account counts and keeps a capture; raises what the candidate fails at."""
log = logging.getLogger(__name__)


def _nothing() -> None:
    """Do nothing."""


class ShadowWatch(StageWatch):
    """An observer that ends the work as soon as a request waits for a thread."""

    def __init__(self, metrics: Metrics, seconds: float, admission: Admission) -> None:
        super().__init__(metrics, seconds)
        self._admission = admission

    def check(self) -> None:
        """Raise DeadlineExceeded if the work is to end."""
        super().check()
        if not self._admission.is_idle():
            raise DeadlineExceeded

    def _keep(self, stage: str, seconds: float) -> None:
        # Shadows are told in rows alone: metrics are of what was answered.
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds


class Shadows:
    """Has copies of requests done by a candidate, in one thread that stands back behind all others.

    Args:
        admission: Who knows whether requests wait.
        ledger: Who makes rows.
        seconds: Longest time of one copy.
        metrics: What is counted.
    """

    def __init__(self, admission: Admission, ledger: Ledger, seconds: float, metrics: Metrics) -> None:
        self._admission = admission
        self._ledger = ledger
        self._seconds = seconds
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=_stand_back)
        self._running: tuple[asyncio.Task[None], StageWatch] | None = None

    def offer(
        self,
        account: Account,
        endpoint: str,
        chosen: Chosen[Any],
        size_bytes: int,
        work: Work,
        ended: Callable[[], None] = _nothing,
    ) -> bool:
        """Have a copy of an answered request done, unless one is being done or requests wait; says whether it is.

        Args:
            account: The account of the request.
            endpoint: What was asked.
            chosen: The candidate.
            size_bytes: Bytes of memory that the copy holds.
            work: Does the copy, in the thread.
            ended: Told once a copy that is done needs nothing any more, however it ended.
        """
        if self._running is not None or not self._admission.is_idle():
            self._count(endpoint, "skipped")
            return False
        try:
            self._admission.hold(size_bytes)
        except Busy:
            self._count(endpoint, "skipped")
            return False
        names = account.subject, account.override, chosen
        copy = Account(new_identity(), time.time(), time.perf_counter(), *names, is_named=account.is_named)
        watch = ShadowWatch(self._metrics, self._seconds, self._admission)
        task = asyncio.get_running_loop().create_task(self._done(copy, endpoint, work, watch))
        self._running = task, watch

        def clear(_: asyncio.Task[None]) -> None:
            self._running = None
            self._admission.hold(-size_bytes)
            ended()

        task.add_done_callback(clear)
        return True

    async def close(self) -> None:
        """End what runs at its next stage, and wait for it."""
        if self._running is not None:
            task, watch = self._running
            watch.stop()
            await task
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    async def _done(self, copy: Account, endpoint: str, work: Work, watch: StageWatch) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, work, copy, watch)
            self._tell(copy, endpoint, watch, 200, "done")
        except DeadlineExceeded:
            # It made room for requests, or took too long: nothing is known of the candidate.
            self._count(endpoint, "dropped")
        except Exception as error:  # noqa: BLE001  # whatever it was, it is the candidate's, and nobody waits for it
            copy.outcome, version = FAILED, None if copy.chosen is None else copy.chosen.model.version
            log.warning("a shadow failed", extra={"endpoint": endpoint, "version": version, "error": error})
            self._tell(copy, endpoint, watch, 500, "failed")

    def _tell(self, copy: Account, endpoint: str, watch: StageWatch, status: int, outcome: str) -> None:
        copy.stages = watch.stages
        self._ledger.keep(copy, endpoint, status, shadow=True)
        self._count(endpoint, outcome)

    def _count(self, endpoint: str, outcome: str) -> None:
        self._metrics.shadows.labels(endpoint, outcome).inc()


def _stand_back() -> None:
    """Give this thread the lowest priority, where threads have one of their own."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
