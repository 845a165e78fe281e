"""Learns of a new champion by looking at a local pointer, and swaps it in when it has passed its tests."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from mlops.metrics import Metrics
from services.serving.pool import M, ModelPool

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source(Generic[M]):
    """Where models come from.

    Attributes:
        stamp: Cheap; changes when there is something else to load, and is None when there is nothing.
        load: Returns a tested, warmed model; raises on any doubt.
    """

    stamp: Callable[[], str | None]
    load: Callable[[], M]


async def watch(
    source: Source[M],
    pool: ModelPool[M],
    metrics: Metrics,
    poll_seconds: float,
    retry_seconds: float,
    looked: asyncio.Event | None = None,
) -> None:
    """Look for a new model every ``poll_seconds`` until cancelled, and load it in a thread beside the requests.

    ``looked`` is set after the first look, whatever came of it.

    What cannot be loaded leaves the old model in place, and is tried again after a pause that doubles up to
    ``retry_seconds``, or at once when the stamp changes.
    """
    seen: str | None = None
    failures, wait_seconds = 0, 0.0
    while True:
        stamp = await _stamp(source)
        changed = stamp != seen
        if stamp is not None and (changed or (failures and wait_seconds <= 0)):
            model = await _load(source)
            if model is not None:
                pool.swap(model)
            metrics.model_swaps.labels("failed" if model is None else "swapped").inc()
            failures = 0 if model is not None else (1 if changed else failures + 1)
            wait_seconds = min(retry_seconds, poll_seconds * 2 ** min(failures, 30))
            seen = stamp
        if looked is not None:
            looked.set()
        await asyncio.sleep(poll_seconds)
        wait_seconds -= poll_seconds


async def _stamp(source: Source[M]) -> str | None:
    try:
        return await asyncio.to_thread(source.stamp)
    except OSError:
        log.exception("the pointer to the champion cannot be read")
        return None


async def _load(source: Source[M]) -> M | None:
    try:
        return await asyncio.to_thread(source.load)
    except Exception:
        # Anything at all: whatever is wrong with a new model, the old one goes on serving.
        log.exception("the new model was refused; the old one goes on")
        return None
