"""Working on many files at one time, so that none of them can stop the others, and an interrupt stops all."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from traceback import extract_tb
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
WAKE_SECONDS: Final = 0.1
"""How long an interrupt may go unheard."""


class Stopped(Exception):
    """The run is being ended; nothing is written any more."""


class Watch:
    """An observer of masking that ends the work when the run ends, and passes progress on.

    Args:
        stop: Set when the run is to end.
        progress: Told how many frames of a video are done, and how many there are where that is known.
    """

    def __init__(self, stop: threading.Event, progress: Callable[[int, int | None], None]) -> None:
        self._stop = stop
        self._progress = progress

    def started(self, stage: str) -> None:
        """End the work if the run ends."""
        if self._stop.is_set():
            raise Stopped

    def finished(self, stage: str, seconds: float) -> None:
        """Do nothing: a stage that ended well is followed by another, or by the result."""

    def progress(self, done: int, total: int | None) -> None:
        """Pass progress on, and end the work if the run ends."""
        if self._stop.is_set():
            raise Stopped
        self._progress(done, total)


def run(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    failed: Callable[[Item, str], Result],
    jobs: int,
    stop: threading.Event,
) -> Generator[tuple[int, Result], None, None]:
    """Work on all items in threads, and yield each with its number as it ends.

    Whoever iterates should close this (`contextlib.closing`): an error of theirs then ends the work, too.

    Args:
        items: What to work on.
        work: Done to each; it should raise for faults of the program only.
        failed: Makes a result of an item and what went wrong, where ``work`` raised all the same.
        jobs: Items worked on at one time.
        stop: Set when this is left before the end, for whatever ``work`` watches it with; the threads have ended then.
    """
    with ThreadPoolExecutor(jobs, thread_name_prefix="file") as pool:
        numbers: dict[Future[Result], int] = {}
        try:
            for number, item in enumerate(items):
                # From the first of these on there is work that an interrupt has to end.
                numbers[pool.submit(work, item)] = number
            pending = set(numbers)
            while pending:
                # An interrupt may find another thread, or this one just before it falls asleep: it is heard on waking.
                done, pending = wait(pending, WAKE_SECONDS, FIRST_COMPLETED)
                for future in done:
                    number = numbers[future]
                    fault = future.exception()
                    yield number, future.result() if fault is None else failed(items[number], _told(fault))
        except BaseException:
            try:
                # Before anything is told to end: its thread would begin the next.
                pool.shutdown(wait=False, cancel_futures=True)
            finally:
                stop.set()
            raise


def _told(fault: BaseException) -> str:
    """Name a fault of the program without its text, which may quote what was in the file."""
    place = extract_tb(fault.__traceback__)[-1:]
    where = f" in {place[0].name}, line {place[0].lineno}" if place else ""
    return f"internal error: {type(fault).__name__}{where}"
