"""Work ahead: an iterator that runs in a thread of its own, a few items before whoever takes them."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1


class _End:
    """What stands in the queue behind the last item, with the error that ended the work, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Ahead(Generic[T]):
    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End] = queue.Queue(depth)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def _put(self, item: T | _End) -> bool:
        while not self._left.is_set():
            try:
                self._queue.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as raised:  # noqa: BLE001  # raised again where the items are taken
            error = raised
        self._put(_End(error))

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._left.set()
        self._thread.join()


class Room:
    """How many items may be under way at one time, from the thread that gives them to whoever is done with them last.

    One bound over several stages leaves it to them where items wait: where the slowest does not stand idle.
    A context manager, to be left before the threads are: whoever waits for room then goes on at once, to be stopped.

    Args:
        size: How many, more than the stages between hold back.
    """

    def __init__(self, size: int) -> None:
        self._free = threading.Semaphore(size)
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = True
        self._free.release()

    def entering(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, each when there is room for it; in one thread."""
        for item in items:
            if not self._open:
                self._free.acquire()
            yield item

    def left(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items that had entered; each has left when the next is asked for."""
        for item in items:
            yield item
            self._free.release()


@contextmanager
def ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterable in a thread, up to ``depth`` items ahead of whoever iterates over what this gives.

    The order stays; an error of the iterable is raised where its item would have come. Leaving the context ends the
    thread after the item that it works on, so nothing of it outlives the block.

    Args:
        items: Iterated over in the other thread only.
        depth: How many items may wait, at least 1.
    """
    work = _Ahead(items, depth)
    work.start()
    try:
        yield iter(work)
    finally:
        work.stop()
