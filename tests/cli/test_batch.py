"""Work on many files at one time: whatever ends the run ends all of its work."""

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import _base as futures
from contextlib import closing

import pytest

from cli.batch import run
from tests.patience import PATIENCE_SECONDS, until


class Interrupted(Sequence[int]):
    """Three items; an interrupt comes when the first is worked on and the others are not handed out yet."""

    def __init__(self, at_work: threading.Event) -> None:
        self._at_work = at_work

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> int:  # type: ignore[override]
        return number

    def __iter__(self) -> Iterator[int]:
        yield 0
        assert self._at_work.wait(PATIENCE_SECONDS)
        raise KeyboardInterrupt


def test_an_interrupt_while_work_is_handed_out_ends_what_is_worked_on() -> None:
    at_work, stop, told = threading.Event(), threading.Event(), []

    def work(item: int) -> int:
        at_work.set()
        told.append(stop.wait(PATIENCE_SECONDS))
        return item

    with pytest.raises(KeyboardInterrupt):
        list(run(Interrupted(at_work), work, lambda item, fault: item, 2, stop))
    assert told == [True]


def test_an_interrupt_that_finds_another_thread_ends_what_is_worked_on() -> None:
    stop, told = threading.Event(), []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def waits() -> bool:
        stack = traceback.walk_stack(sys._current_frames()[threading.main_thread().ident or 0])
        return any(frame.f_code.co_filename == futures.__file__ for frame, _ in stack)

    def work(item: int) -> int:
        until(waits)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        told.append(stop.wait(PATIENCE_SECONDS))
        return item

    try:
        with pytest.raises(KeyboardInterrupt):
            list(run([0], work, lambda item, fault: item, 1, stop))
    finally:
        signal.signal(signal.SIGINT, before)
    # Where the interrupt came while the thread was being started, nobody has waited for it.
    assert until(lambda: told) == [True]


def test_who_leaves_before_the_end_ends_what_is_worked_on_and_begins_nothing() -> None:
    stop, begun = threading.Event(), []

    def work(item: int) -> int:
        begun.append(item)
        assert item == 0 or stop.wait(PATIENCE_SECONDS)
        return item

    with closing(run(range(8), work, lambda item, fault: item, 1, stop)) as ended:
        assert next(ended) == (0, 0)
    assert stop.is_set()
    assert begun in ([0], [0, 1])


def test_a_fault_of_one_is_told_and_stops_no_other() -> None:
    def work(item: int) -> str:
        if item == 1:
            raise ValueError("a secret of the file")
        return "done"

    ended = dict(run(range(3), work, lambda item, fault: fault, 2, threading.Event()))
    assert (ended[0], ended[2]) == ("done", "done")
    assert ended[1].startswith("internal error: ValueError in work, line ")
    assert "secret" not in ended[1]
