import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.threads import Room, ahead


@given(st.lists(st.integers()), st.integers(1, 5))
def test_all_items_come_in_order(items: list[int], depth: int) -> None:
    with ahead(items, depth) as taken:
        assert list(taken) == items


def test_an_error_is_raised_behind_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("here")

    taken: list[int] = []
    with ahead(broken(), 4) as items, pytest.raises(ValueError, match="here"):
        taken.extend(items)
    assert taken == [1, 2]


def test_it_runs_no_further_ahead_than_allowed() -> None:
    made = 0

    def counted() -> Iterator[int]:
        nonlocal made
        for number in range(100):
            made += 1
            yield number

    with ahead(counted(), 3) as items:
        for taken, _ in enumerate(items, start=1):
            # Three wait, one is in the hand of the thread.
            assert made <= taken + 4


def test_leaving_early_ends_the_thread() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    before = set(threading.enumerate())
    with ahead(endless(), 2) as items:
        next(items)
    assert not any(thread.name == "ahead" for thread in set(threading.enumerate()) - before)


def held_back(items: Iterator[int], count: int) -> Iterator[int]:
    held: list[int] = []
    for item in items:
        held.append(item)
        if len(held) > count:
            yield held.pop(0)
    yield from held


@given(st.integers(0, 30), st.integers(0, 3), st.integers(1, 4))
def test_no_more_items_are_under_way_than_there_is_room_for(count: int, held: int, spare: int) -> None:
    room, made = Room(held + spare), 0

    def counted() -> Iterator[int]:
        nonlocal made
        for number in range(count):
            made += 1
            yield number

    taken = []
    with ahead(room.entering(counted()), 50) as first, ahead(held_back(first, held), 50) as second, room:
        for item in room.left(second):
            # One more is made, and waits for room.
            assert made <= len(taken) + held + spare + 1
            taken.append(item)
    assert taken == list(range(count))


def test_leaving_early_ends_threads_that_wait_for_room() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 0

    before, room = set(threading.enumerate()), Room(3)
    with ahead(room.entering(endless()), 50) as first, ahead(held_back(first, 2), 50) as second, room:
        next(room.left(second))
    assert not any(thread.name == "ahead" for thread in set(threading.enumerate()) - before)
