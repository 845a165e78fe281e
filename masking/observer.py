"""How the library tells what it does: it logs nothing and knows no metrics system."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Observer(Protocol):
    """Is told of every stage. What it raises ends the work, which is how a deadline is kept."""

    def started(self, stage: str) -> None:
        """Told before a stage begins."""

    def finished(self, stage: str, seconds: float) -> None:
        """Told after a stage has ended well; ``seconds`` is wall time."""


class Silent:
    """An observer that does nothing."""

    def started(self, stage: str) -> None:
        """Do nothing."""

    def finished(self, stage: str, seconds: float) -> None:
        """Do nothing."""


@contextmanager
def observed(observer: Observer, stage: str) -> Iterator[None]:
    """Tell the observer of the stage that runs inside."""
    observer.started(stage)
    start = time.perf_counter()
    yield
    observer.finished(stage, time.perf_counter() - start)


class VideoObserver(Protocol):
    """Is told how far the work on a long file is. What it raises ends the work, which is how it is cancelled."""

    def progress(self, done: int, total: int | None) -> None:
        """Told after each piece: how much is done, and how much there is as far as the header tells.

        The unit is a frame of a video, or a millisecond of sound.
        """


class Unobserved:
    """An observer of long work that does nothing."""

    def progress(self, done: int, total: int | None) -> None:
        """Do nothing."""
