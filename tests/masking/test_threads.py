import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.threads import ahead


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

    with ahead(endless(), 2) as items:
        next(items)
    assert not any(thread.name == "ahead" for thread in threading.enumerate())
