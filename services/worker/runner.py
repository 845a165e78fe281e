"""Does a job: claims it, has its kind done, and says what came of it. Whatever goes wrong is the job's error."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from masking.errors import MaskingError
from mlops.database import DatabaseAway
from mlops.jobs.spool import INPUT, Spool
from mlops.jobs.store import JobStore
from mlops.jobs.table import FAILED, NEEDS_REVIEW, SUCCEEDED, Claim, Ending, Job
from services.asgi.problems import told
from services.worker.attempt import Attempt, AttemptOver

AGAIN_SECONDS: Final = 0.5
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """What the work on a job is given.

    Attributes:
        options: How it is to be done.
        source: The input.
        target: Where the result goes.
        observer: Told of progress; what it raises must pass.
    """

    options: Mapping[str, Any]
    source: Path
    target: Path
    observer: Attempt


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        report: What was done, as plain JSON values.
        media_type: Media type of the result, which lies at the target unless it was withheld.
        needs_review: Whether a person is to look at it.
    """

    report: Mapping[str, Any]
    media_type: str
    needs_review: bool = False


Work = Callable[[Task], Outcome]


@dataclass(frozen=True, slots=True)
class Runner:
    """Does jobs, in whichever thread it is called.

    Attributes:
        kinds: What is done for each kind of job.
        store: The table of jobs.
        spool: Their media.
        stopping: Set when the worker stops: work ends at its next frame, and its job waits again.
        stall_seconds: Silence after which a job counts as hung.
        hung: Set when one does; no thread can be ended from outside, so the process has to.
    """

    kinds: Mapping[str, Work]
    store: JobStore
    spool: Spool
    stopping: threading.Event
    stall_seconds: float
    hung: threading.Event = field(default_factory=threading.Event)

    def run(self, identity: str) -> None:
        """Do a job if it waits; nothing is raised."""
        if self.stopping.is_set():
            return
        try:
            claim = self.store.claim(identity)
            if claim is not None:
                log.info("job started", extra={"job": identity, "kind": claim.job.kind, "attempt": claim.job.attempts})
                self._attempt(claim)
                self.tidy(identity, self.store.get(identity))
        except DatabaseAway:
            # It is as if this worker had fallen silent: the job is done again.
            log.warning("the table of jobs does not answer", extra={"job": identity})
        except OSError as error:
            log.warning("media of a job cannot be looked after", extra={"job": identity, "reason": error})

    def tidy(self, identity: str, job: Job | None) -> None:
        """Remove the media that a job needs no longer: all but the result once it has ended."""
        if job is None or (not job.is_open and job.result is None):
            self.spool.remove(identity)
        elif not job.is_open and job.result is not None:
            self.spool.keep_only(identity, job.result)

    def _attempt(self, claim: Claim) -> None:
        identity = claim.job.identity
        self.spool.keep_only(identity, INPUT)
        attempt = Attempt(self.store, claim, self.stopping, self.stall_seconds, self.hung)
        with attempt.kept():
            try:
                ending = self._done(claim, attempt)
            except AttemptOver:
                log.info("job left off", extra={"job": identity, "cancelled": attempt.is_gone})
                if not attempt.is_gone:
                    self.store.release(claim)
                return
            finished = self._finish(claim, ending)
        log.info("job ended", extra={"job": identity, "state": ending.state, "taken": finished})

    def _done(self, claim: Claim, attempt: Attempt) -> Ending:
        job = claim.job
        target = self.spool.folder(job.identity) / f"result-{job.attempts}"
        try:
            outcome = self.kinds[job.kind](Task(job.options, self.spool.source(job.identity), target, attempt))
        except Exception as error:
            if attempt.is_over:
                raise AttemptOver from error
            if isinstance(error, MaskingError):
                log.warning("job failed", extra={"job": job.identity, "reason": error})
            else:
                log.exception("job failed unexpectedly", extra={"job": job.identity})
            return Ending(FAILED, error=told(error))
        state = NEEDS_REVIEW if outcome.needs_review else SUCCEEDED
        result = target.name if target.exists() else None
        return Ending(state, report=outcome.report, result=result, media_type=outcome.media_type)

    def _finish(self, claim: Claim, ending: Ending) -> bool:
        while True:
            try:
                return self.store.finish(claim, ending)
            except DatabaseAway:
                # Hours of work may lie in the result: it waits for the table, unless the worker is to stop.
                if self.stopping.wait(AGAIN_SECONDS):
                    raise
