"""Tells in the log of what goes wrong again and again: at once when it begins, then now and then with the sum."""

import logging
import time
from collections.abc import Callable
from typing import Final

EVERY_SECONDS: Final = 60.0


class Seldom:
    """A warning that may be due many times a second; one thread uses it.

    Args:
        log: Where it goes.
        message: What it says.
        counted: What its sum is called there.
        every_seconds: Pause between two of it, at least.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        log: logging.Logger,
        message: str,
        counted: str = "rows",
        every_seconds: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._message = message
        self._counted = counted
        self._every = every_seconds
        self._clock = clock
        self._due = float("-inf")
        self._sum = 0
        self._reason = ""

    def note(self, count: int, error: Exception) -> None:
        """Take in that it happened, and to how many; told now, or with what else happens until it is due."""
        self._sum += count
        self._reason = repr(error.__cause__ or error)
        self.catch_up()

    def catch_up(self, *, at_once: bool = False) -> None:
        """Tell what was left untold, if that is due."""
        if not self._reason or (self._clock() < self._due and not at_once):
            return
        self._log.warning(self._message, extra={self._counted: self._sum, "reason": self._reason})
        self._due = self._clock() + self._every
        self._sum, self._reason = 0, ""
