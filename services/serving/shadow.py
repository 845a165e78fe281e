"""Copies of requests for a candidate that answers nobody: one at a time, and only while nothing else waits.

What comes of a copy is compared, told as a row, and thrown away.
"""

import asyncio
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from masking.errors import DeadlineExceeded
from masking.face.loading import LoadedModel
from masking.media.probe import ImageLimits
from masking.pipeline import Masked, mask_image
from masking.policy import Policy
from mlops.metrics import Metrics
from mlops.predictions.row import FAILED, new_identity
from services.asgi.errors import Busy
from services.serving.account import Account
from services.serving.admission import Admission
from services.serving.endpoints import FACES, Chosen
from services.serving.ledger import Ledger
from services.serving.watch import StageWatch, watched

NICENESS: Final = 19
log = logging.getLogger(__name__)


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
    """Masks copies of pictures by a candidate, in one thread that stands back behind all others.

    Args:
        admission: Who knows whether requests wait.
        ledger: Who makes rows.
        limits: Largest picture.
        seconds: Longest time of one copy.
        metrics: What is counted.
    """

    def __init__(
        self, admission: Admission, ledger: Ledger, limits: ImageLimits, seconds: float, metrics: Metrics
    ) -> None:
        self._admission = admission
        self._ledger = ledger
        self._limits = limits
        self._seconds = seconds
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=_stand_back)
        self._running: asyncio.Task[None] | None = None

    def offer(self, account: Account, data: bytes, policy: Policy, chosen: Chosen[LoadedModel], faces: int) -> None:
        """Have a copy of an answered request done, unless one is being done or requests wait.

        Args:
            account: The account of the request.
            data: The picture.
            policy: What is wished.
            chosen: The candidate.
            faces: How many faces were masked in the answer.
        """
        if self._running is not None or not self._admission.is_idle():
            self._count("skipped")
            return
        try:
            self._admission.hold(len(data))
        except Busy:
            self._count("skipped")
            return
        copy = Account(new_identity(), time.time(), time.perf_counter(), account.subject, None, chosen)
        self._running = asyncio.get_running_loop().create_task(self._done(copy, data, policy, chosen, faces))

    async def close(self) -> None:
        """End what runs and wait for it."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)

    async def _done(self, copy: Account, data: bytes, policy: Policy, chosen: Chosen[LoadedModel], faces: int) -> None:
        watch = ShadowWatch(self._metrics, self._seconds, self._admission)
        try:
            masked = await asyncio.get_running_loop().run_in_executor(
                self._executor, _mask, data, policy, chosen.model, self._limits, watch
            )
            copy.counts = {"faces": masked.report.faces, "champion_faces": faces}
            report = masked.report.by(chosen.model).as_dict()
            features = {"boxes": masked.faces.boxes, "scores": masked.faces.scores}
            self._ledger.capture(copy, FACES, masked.data, masked.media_type, report, features)
            self._tell(copy, watch, 200, "done")
        except DeadlineExceeded:
            # It made room for requests, or took too long: nothing is known of the candidate.
            self._count("dropped")
        except Exception as error:  # noqa: BLE001  # whatever it was, it is the candidate's, and nobody waits for it
            copy.outcome = FAILED
            log.warning("a shadow failed", extra={"version": chosen.model.version, "error": error})
            self._tell(copy, watch, 500, "failed")
        finally:
            watch.stop()
            self._running = None
            self._admission.hold(-len(data))

    def _tell(self, copy: Account, watch: StageWatch, status: int, outcome: str) -> None:
        copy.stages = watch.stages
        self._ledger.keep(copy, FACES, status, shadow=True)
        self._count(outcome)

    def _count(self, outcome: str) -> None:
        self._metrics.shadows.labels(FACES, outcome).inc()


def _mask(data: bytes, policy: Policy, model: LoadedModel, limits: ImageLimits, watch: StageWatch) -> Masked:
    return mask_image(data, policy, watched(model.detector, watch), limits, watch, model.maskers)


def _stand_back() -> None:
    """Give this thread the lowest priority, where threads have one of their own."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
