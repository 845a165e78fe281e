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
