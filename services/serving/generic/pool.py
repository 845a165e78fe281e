"""Threads for what costs more than handing it over: a queue as long as it is in time, the rest refused at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil

from services.asgi.errors import Busy


class Pool:
    """Runs work in threads. All state belongs to the event loop.

    Args:
        threads: How many there are.
        wait_seconds: Longest wait that is promised; what would wait longer is refused.
    """

    def __init__(self, threads: int, wait_seconds: float) -> None:
        self._threads = threads
        self._most_seconds = wait_seconds
        self._pending_seconds = 0.0
        self._pending = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")

    async def run(self, work: Callable[[], None], seconds: float) -> None:
        """Do work that costs about so many seconds.

        Raises:
            Busy: It would wait, or has waited, longer than is promised, or the server stops.
        """
        wait = self._pending_seconds / self._threads if self._pending >= self._threads else 0.0
        if wait > self._most_seconds:
            raise Busy("the work that waits already would make this too late", ceil(wait))
        latest = time.perf_counter() + 2 * self._most_seconds

        def in_time() -> bool:
            if time.perf_counter() > latest:
                return False
            work()
            return True

        self._pending += 1
        self._pending_seconds += seconds
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._executor, in_time)
        finally:
            self._pending -= 1
            self._pending_seconds = max(0.0, self._pending_seconds - seconds)
        if not done:
            raise Busy("it waited longer than it was worth")

    async def close(self) -> None:
        """Let go of what waits, and wait for what runs."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._executor.shutdown, wait=True)
