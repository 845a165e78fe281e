from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.cache import derive
from mlops.redis import Breaker, Seal


@given(st.binary(max_size=100), st.binary(min_size=1, max_size=32))
def test_a_seal_opens_for_its_own_key_alone(value: bytes, key: bytes) -> None:
    seal = Seal(derive(b"secret", b"seal"))
    sealed = seal.close(key, value, 60)
    assert seal.open(key, sealed) == value
    assert seal.open(key + b"x", sealed) is None
    assert Seal(derive(b"other", b"seal")).open(key, sealed) is None


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
def test_a_changed_seal_does_not_open(position: int) -> None:
    seal = Seal(derive(b"secret", b"seal"))
    sealed = bytearray(seal.close(b"key", b"value", 60))
    sealed[position] ^= 1
    assert seal.open(b"key", bytes(sealed)) is None


@pytest.mark.parametrize("rubbish", [b"", b"x", b"x" * 12, b"x" * 27, b"x" * 200])
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    assert Seal(derive(b"secret", b"seal")).open(b"key", rubbish) is None


def test_a_seal_has_an_end(clock: Any) -> None:
    seal = Seal(derive(b"secret", b"seal"), clock)
    sealed = seal.close(b"key", b"value", 60)
    clock.now += 61
    assert seal.open(b"key", sealed) is None


def test_the_breaker_opens_and_tries_again(clock: Any) -> None:
    breaker = Breaker(failures=2, retry_seconds=5, clock=clock)
    breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    clock.now += 5
    assert breaker.allows()
    assert not breaker.allows(), "one try at a time"
    breaker.succeeded()
    assert breaker.allows()
