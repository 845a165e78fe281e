"""How tests wait: for what is to come about, as long as a slow and busy machine may take, and no fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")
PATIENCE_SECONDS: Final = 120.0
"""Many times what anything takes on a machine that is ten times as slow; only who fails waits so long."""


def until(question: Callable[[], T], pause_seconds: float = 0.01) -> T:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := question()):
        assert time.monotonic() < end, f"it did not come about: {question}, {answer!r}"
        time.sleep(pause_seconds)
    return answer


async def until_true(question: Callable[[], T | Awaitable[T]], pause_seconds: float = 0.005) -> T:
    """Do the same in an event loop; what is asked may be asynchronous."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = question()
        told: T = await answer if inspect.isawaitable(answer) else answer  # type: ignore[assignment]
        if told:
            return told
        assert time.monotonic() < end, f"it did not come about: {question}, {told!r}"
        await asyncio.sleep(pause_seconds)
