"""Threads for what costs more than handing it over: a queue as long as it is in time, the rest refused at once."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil

from services.asgi.errors import Busy


class Late(Exception):
    """Work has waited longer than is promised, and was not done."""


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
        self._usual_seconds = 0.0
        self._pending = 0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="predict")

    async def run(self, work: Callable[[], None], seconds: float, usual: float | None = None) -> None:
        """Do work that costs about so many seconds.

        Args:
            work: Does it.
            seconds: What it costs.
            usual: What the champion would cost that a candidate stands for; None for a champion, which is not refused
                for what candidates cost beyond champions, as long as it can be in time.

        Raises:
            Busy: It would wait longer than is promised.
            Late: It has.
        """
        self._check(is_champion=usual is None)
        usual = seconds if usual is None else usual
        latest = time.perf_counter() + 2 * self._most_seconds

        def in_time() -> bool:
            if time.perf_counter() > latest:
                return False
            work()
            return True

        self._pending += 1
        self._pending_seconds += seconds
        self._usual_seconds += usual
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._executor, in_time)
        finally:
            self._pending -= 1
            self._pending_seconds = max(0.0, self._pending_seconds - seconds)
            self._usual_seconds = max(0.0, self._usual_seconds - usual)
        if not done:
            raise Late

    def _check(self, *, is_champion: bool) -> None:
        if self._pending < self._threads:
            return
        most, wait = self._most_seconds, self._pending_seconds / self._threads
        spared = is_champion and wait <= 2 * most and self._usual_seconds / self._threads <= most
        if wait > most and not spared:
            raise Busy("the work that waits already would make this too late", ceil(wait))

    async def close(self) -> None:
        """Let go of what waits, and wait for what runs."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._executor.shutdown, wait=True)
