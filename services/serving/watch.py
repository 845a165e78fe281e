"""What a request's work is watched by: it times the stages and ends the work when its time is over."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.errors import DeadlineExceeded
from masking.face.detectors import Detector
from masking.types import Faces
from mlops.metrics import Metrics

QUEUE: Final = "queue"


class StageWatch:
    """An observer that keeps a deadline. Told by the thread that works, stopped by the event loop.

    Attributes:
        stages: Seconds of each stage so far, the wait among them.
    """

    def __init__(self, metrics: Metrics, seconds: float) -> None:
        self._metrics = metrics
        self._made = time.perf_counter()
        self._deadline = self._made + seconds
        self._stopped = False
        self.stages: dict[str, float] = {}

    def stop(self) -> None:
        """End the work at the next stage: nobody waits for it any more."""
        self._stopped = True

    def check(self) -> None:
        """Raise DeadlineExceeded if the work is to end."""
        if self._stopped or time.perf_counter() >= self._deadline:
            raise DeadlineExceeded

    def began(self) -> None:
        """Told when a thread takes the work; what went before was waiting."""
        self._keep(QUEUE, time.perf_counter() - self._made)
        self.check()

    def started(self, stage: str) -> None:
        """Told before a stage begins."""
        self.check()

    def progress(self, done: int, total: int | None) -> None:
        """Told after each piece of a longer work."""
        self.check()

    def finished(self, stage: str, seconds: float) -> None:
        """Told after a stage has ended well."""
        self._keep(stage, seconds)
        self.check()

    def _keep(self, stage: str, seconds: float) -> None:
        self._metrics.stage[(stage,)].observe(seconds)
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds


def watched(detector: Detector, watch: StageWatch) -> Detector:
    """Return the detector with a look at the clock before each piece of a large picture."""

    def detect(pixels: NDArray[np.uint8], threshold: float) -> Faces:
        watch.check()
        return detector(pixels, threshold)

    return detect
