"""Rounds: what a worker does again and again, each in a thread of its own."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from prometheus_client import Counter, Gauge

from mlops.metrics import Metrics
from services.asgi.app import Part
from services.asgi.health import Readiness

END_SECONDS: Final = 5.0
"""How long the end waits for rounds that run."""
log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """Something that is done again and again.

    Attributes:
        name: What it is called in logs and metrics.
        every_seconds: Pause between the end of one run and the beginning of the next.
        run: Does it once. Whatever it raises is logged and counted, and the next run comes all the same.
        close: Called after the last run.
    """

    name: str
    every_seconds: float
    run: Callable[[], None]
    close: Callable[[], None] = lambda: None


class _Keeper:
    """Keeps rounds going, each in a thread."""

    def __init__(self, rounds: Sequence[Round], metrics: Metrics) -> None:
        self._rounds = rounds
        self._ended = threading.Event()
        self._runs = Counter("masker_rounds_total", "Rounds done.", ["round", "outcome"], registry=metrics.registry)
        self._last = Gauge(
            "masker_round_success_seconds",
            "When a round last went well, or the worker began, since the epoch.",
            ["round"],
            registry=metrics.registry,
        )
        for each in rounds:
            for outcome in ("done", "failed"):
                self._runs.labels(each.name, outcome)
            # One that never goes well is silent, too.
            self._last.labels(each.name).set(time.time())

    def start(self) -> Sequence[threading.Thread]:
        """Start a thread for each round."""
        threads = [
            threading.Thread(target=self._keep, args=(each,), name=f"round-{each.name}", daemon=True)
            for each in self._rounds
        ]
        for thread in threads:
            thread.start()
        return threads

    def end(self, threads: Sequence[threading.Thread], end_seconds: float) -> None:
        """Let each round end the run that it is in."""
        self._ended.set()
        end = time.monotonic() + end_seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _keep(self, each: Round) -> None:
        while not self._ended.is_set():
            self._once(each)
            self._ended.wait(each.every_seconds)
        each.close()

    def _once(self, each: Round) -> None:
        try:
            each.run()
        except Exception:
            # Whatever it was, the next run may go well, and the other rounds have nothing to do with it.
            log.exception("a round failed", extra={"round": each.name})
            self._runs.labels(each.name, "failed").inc()
        else:
            self._runs.labels(each.name, "done").inc()
            self._last.labels(each.name).set(time.time())


def rounds_part(rounds: Sequence[Round], metrics: Metrics, end_seconds: float = END_SECONDS) -> Part:
    """Return the rounds as a part: they go on while it is open, and its end waits so long for those that run."""
    keeper = _Keeper(rounds, metrics)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        threads = keeper.start()
        try:
            yield
        finally:
            await asyncio.to_thread(keeper.end, threads, end_seconds)

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))
