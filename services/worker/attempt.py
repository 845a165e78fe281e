"""One attempt at a job, as the work sees it: it tells how far it is, and is told when to end."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mlops.database import DatabaseAway
from mlops.jobs.store import JobStore
from mlops.jobs.table import Claim

BEAT_SECONDS: Final = 0.5
NEARLY: Final = 0.999
"""As far as work can say it is; what is done is said by its end."""
log = logging.getLogger(__name__)


class AttemptOver(Exception):
    """The work is to end: its job was cancelled or given to another worker, or this worker stops."""


class Attempt:
    """An observer of the work that keeps the claim on its job.

    The table is written by a thread of its own, every `BEAT_SECONDS`: the work never waits for it, and is known to be
    alive even within a long step, as long as it is not a step without an end.

    Args:
        store: Where the job is.
        claim: The right to do it.
        stopping: Set when the worker stops.
        stall_seconds: Silence of the work after which it counts as hung: the claim is no longer kept, and ``hung`` set.
        hung: Set when the work hangs, for whoever can end it.
    """

    def __init__(
        self, store: JobStore, claim: Claim, stopping: threading.Event, stall_seconds: float, hung: threading.Event
    ) -> None:
        self._store = store
        self._claim = claim
        self._stopping = stopping
        self._gone = threading.Event()
        self._ended = threading.Event()
        self._progress = 0.0
        self._stall_seconds = stall_seconds
        self._hung = hung
        self._heard = time.monotonic()

    @property
    def is_gone(self) -> bool:
        """Whether the claim was lost."""
        return self._gone.is_set()

    @property
    def is_over(self) -> bool:
        """Whether the work is to end."""
        return self.is_gone or self._stopping.is_set()

    def check(self) -> None:
        """Raise AttemptOver if the work is to end."""
        self._heard = time.monotonic()
        if self.is_over:
            raise AttemptOver

    def progress(self, done: int, total: int | None) -> None:
        """Told of every frame, or whatever the work counts; the total may be an estimate, or not be known."""
        self.check()
        if total:
            self._progress = min(NEARLY, max(self._progress, done / total))

    def started(self, stage: str) -> None:
        """Told before a stage begins."""
        self.check()

    def finished(self, stage: str, seconds: float) -> None:
        """Told after a stage has ended well."""
        self.check()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the claim while the context is open."""
        thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if time.monotonic() - self._heard > self._stall_seconds:
                log.error("a job hangs", extra={"job": self._claim.job.identity})
                self._hung.set()
                return
            try:
                if not self._store.beat(self._claim, self._progress):
                    self._gone.set()
                    return
            except DatabaseAway:
                # The work goes on: should another worker take the job over, the claim is void and this says so later.
                log.warning("a job's heartbeat was not taken", extra={"job": self._claim.job.identity})
