import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.cache import AnswerCache, Memory, Tier
from mlops.layers import InvalidSettings
from mlops.metrics import Metrics
from mlops.purges import PurgeFailed
from mlops.settings import CacheSettings, load_settings
from tests.mlops.resp import resp_server
from tests.patience import PATIENCE_SECONDS, until_true

SECRET = "a secret that is long enough to be one"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def cache_settings(**more: object) -> CacheSettings:
    variables = {f"MASKER_CACHE__{name.upper()}": str(value) for name, value in more.items()}
    return load_settings(environ=variables).cache


def redis_settings(port: int, **more: object) -> CacheSettings:
    # Slow machines answer late: what is tested here is what is answered, except where a test says otherwise.
    given = {"redis_timeout_seconds": PATIENCE_SECONDS, "redis_retry_seconds": PATIENCE_SECONDS, "secret": SECRET}
    return cache_settings(redis_url=f"redis://127.0.0.1:{port}/0", **given | more)


def counted(metrics: Metrics, tier: Tier, outcome: str) -> float:
    labels = {"tier": str(tier), "outcome": outcome}
    return metrics.registry.get_sample_value("masker_cache_requests_total", labels) or 0.0


def test_memory_forgets_the_least_recently_used_first() -> None:
    memory = Memory(limit_bytes=10, ttl_seconds=60)
    memory.put(b"a", b"12345")
    memory.put(b"b", b"12345")
    assert memory.get(b"a") == b"12345"
    memory.put(b"c", b"123")
    assert memory.get(b"b") is None
    assert memory.get(b"a") == b"12345"
    assert memory.size_bytes == 8


def test_memory_forgets_what_is_old(clock: Any) -> None:
    memory = Memory(limit_bytes=10, ttl_seconds=60, clock=clock)
    memory.put(b"a", b"1")
    clock.now += 59.9
    assert memory.get(b"a") == b"1"
    clock.now += 0.2
    assert memory.get(b"a") is None
    assert memory.size_bytes == 0


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=30))))
def test_memory_never_holds_more_than_its_limit(puts: list[tuple[bytes, bytes]]) -> None:
    memory = Memory(limit_bytes=64, ttl_seconds=60)
    for key, value in puts:
        memory.put(key, value)
        assert memory.size_bytes <= 64
        assert memory.get(key) == value


def test_memory_does_not_keep_what_is_larger_than_itself() -> None:
    memory = Memory(limit_bytes=4, ttl_seconds=60)
    memory.put(b"a", b"1")
    memory.put(b"a", b"12345")
    assert memory.get(b"a") is None


@pytest.mark.anyio
async def test_keys_tell_answers_apart() -> None:
    cache = AnswerCache(cache_settings(secret=SECRET), Metrics())
    same = AnswerCache(cache_settings(secret=SECRET), Metrics())
    other = AnswerCache(cache_settings(secret=SECRET + "!"), Metrics())
    key = cache.key(await cache.digest(b"photo"), "model 1", "solid")
    assert key == same.key(await same.digest(b"photo"), "model 1", "solid")
    different = [
        cache.key(await cache.digest(b"photo!"), "model 1", "solid"),
        cache.key(await cache.digest(b"photo"), "model 2", "solid"),
        cache.key(await cache.digest(b"photo"), "model 1s", "olid"),
        cache.key(await cache.digest(b"photo"), "model 1"),
        other.key(await other.digest(b"photo"), "model 1", "solid"),
    ]
    assert key not in different


@pytest.mark.anyio
async def test_without_redis_answers_are_kept_in_process() -> None:
    metrics = Metrics()
    cache = AnswerCache(cache_settings(entry_bytes=10), metrics)
    key = cache.key(await cache.digest(b"photo"))
    assert await cache.get(key) is None
    cache.put(key, b"answer")
    assert await cache.get(key) == (b"answer", Tier.MEMORY)
    large = cache.key(await cache.digest(b"large"))
    cache.put(large, b"x" * 11)
    assert await cache.get(large) is None
    assert (counted(metrics, Tier.MEMORY, "hit"), counted(metrics, Tier.MEMORY, "miss")) == (1, 2)
    await cache.close()


@pytest.mark.anyio
async def test_replicas_share_answers_through_redis() -> None:
    async with resp_server() as server:
        metrics = Metrics()
        one = AnswerCache(redis_settings(server.port), Metrics())
        other = AnswerCache(redis_settings(server.port), metrics)
        key = one.key(await one.digest(b"photo"))
        assert await other.get(key) is None
        one.put(key, b"masked answer")
        await one.close()
        assert b"masked answer" not in b"".join(server.values.values()), "it is sealed"
        assert await other.get(key) == (b"masked answer", Tier.REDIS)
        assert await other.get(key) == (b"masked answer", Tier.MEMORY)
        assert metrics.registry.get_sample_value("masker_redis_up") == 1
        assert counted(metrics, Tier.REDIS, "hit") == 1
        assert counted(metrics, Tier.REDIS, "miss") == 1
        await other.close()


@pytest.mark.anyio
async def test_what_others_write_into_redis_is_a_miss() -> None:
    async with resp_server() as server:
        metrics = Metrics()
        writer = AnswerCache(redis_settings(server.port), Metrics())
        key, moved = writer.key(await writer.digest(b"photo")), writer.key(await writer.digest(b"other photo"))
        writer.put(key, b"answer")
        await writer.close()
        [(name, sealed)] = server.values.items()
        server.values = {name: b"an unmasked photo", name.replace(key.hex().encode(), moved.hex().encode()): sealed}
        reader = AnswerCache(redis_settings(server.port), metrics)
        assert await reader.get(key) is None
        assert await reader.get(moved) is None
        assert counted(metrics, Tier.REDIS, "rejected") == 2
        await reader.close()


@pytest.mark.anyio
async def test_a_dead_redis_is_a_miss_and_is_soon_left_alone(closed_port: int) -> None:
    metrics = Metrics()
    cache = AnswerCache(redis_settings(closed_port, redis_timeout_seconds=0.05), metrics)
    await cache.open()
    for number in range(6):
        assert await cache.get(cache.key(await cache.digest(b"%d" % number))) is None
    key = cache.key(await cache.digest(b"photo"))
    cache.put(key, b"answer")
    assert await cache.get(key) == (b"answer", Tier.MEMORY)
    assert counted(metrics, Tier.REDIS, "error") == 2
    assert counted(metrics, Tier.REDIS, "skipped") == 4
    assert metrics.registry.get_sample_value("masker_redis_up") == 0
    await cache.close()


@pytest.mark.anyio
async def test_a_redis_that_does_not_answer_costs_its_timeout_alone() -> None:
    async with resp_server() as server:
        server.mute = True
        cache = AnswerCache(redis_settings(server.port, redis_timeout_seconds=0.05), Metrics())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await cache.get(cache.key(await cache.digest(b"photo"))) is None
        assert server.mute, "it is not known what it would have said"
        await cache.close()


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(8))
async def test_it_can_be_closed_at_any_turn_of_the_loop(turns: int) -> None:
    """What listens for purges may be asking Redis right then: whoever closes does not wait for it without an end."""
    async with resp_server() as server:
        cache = AnswerCache(redis_settings(server.port), Metrics())
        await cache.open()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing_it = asyncio.create_task(cache.close())
        ended, _ = await asyncio.wait({closing_it}, timeout=PATIENCE_SECONDS)
        assert ended == {closing_it}


def test_a_wrong_url_is_told_without_showing_it() -> None:
    settings = cache_settings(redis_url="hidden://redis", secret=SECRET)
    with pytest.raises(InvalidSettings, match="redis_url") as caught:
        AnswerCache(settings, Metrics())
    assert "hidden" not in str(caught.value)


@pytest.mark.anyio
async def test_answers_are_purged_by_every_tag_they_have() -> None:
    cache = AnswerCache(cache_settings(), Metrics())
    for name, tags in {"a": ["v 1", "s x"], "b": ["v 1", "s y"], "c": ["v 2", "s x"]}.items():
        cache.put(cache.key(name.encode()), name.encode(), tags)

    async def left() -> str:
        return "".join([name for name in "abc" if await cache.get(cache.key(name.encode()))])

    assert await cache.get(cache.key(b"b"), ["s z"]) is not None
    assert await cache.purge(["v 1", "s x"]) == 1
    assert await left() == "bc"
    assert await cache.purge(["s z"]) == 1, "who got an answer can have it purged as well as who got it first"
    assert await left() == "c"
    assert await cache.purge(["v 1"]) == 0
    assert await cache.purge([]) == 1
    assert await left() == ""
    await cache.close()


async def _is_gone(cache: AnswerCache, key: bytes) -> bool:
    return await cache.get(key) is None


@pytest.mark.anyio
async def test_a_purge_reaches_redis_and_all_replicas() -> None:
    async with resp_server() as server:
        one = AnswerCache(redis_settings(server.port), Metrics())
        other = AnswerCache(redis_settings(server.port), Metrics())
        await other.open()
        keys = [one.key(name) for name in (b"a", b"b")]
        for key, subject in zip(keys, ("x", "y"), strict=True):
            one.put(key, b"answer", ["version 1", f"subject {subject}"])
        await asyncio.gather(*one._writes)
        assert [await other.get(key) for key in keys] == [(b"answer", Tier.REDIS)] * 2
        assert await one.purge(["subject x"]) == 1
        assert len(server.values) == 1
        assert b"subject" not in b"".join([*server.sets, *server.lists[b"masker:purges:1"]]), "nobody is named there"
        await until_true(partial(_is_gone, other, keys[0]))
        assert [await other.get(key) for key in keys] == [None, (b"answer", Tier.MEMORY)]
        server.sets.clear()
        assert await one.purge(["subject y"]) == 1
        assert len(server.values) == 1, "Redis has forgotten whose it is"
        assert await one.get(keys[1]) is None, "and yet it is not given any more"
        server.mute = True
        impatient = AnswerCache(redis_settings(server.port, redis_timeout_seconds=0.02), Metrics())
        with pytest.raises(PurgeFailed):
            await impatient.purge(["subject y"])
        server.mute = False
        await impatient.close()
        await one.close()
        await other.close()


@pytest.mark.anyio
async def test_nonsense_is_as_good_as_no_answer() -> None:
    async with resp_server() as server:
        cache = AnswerCache(redis_settings(server.port), Metrics())
        server.garbled = True
        key = cache.key(b"a")
        assert await cache.get(key) is None
        cache.put(key, b"answer", ["subject x"])
        await asyncio.gather(*cache._writes)
        with pytest.raises(PurgeFailed):
            await cache.purge(["subject x"])
        server.garbled = False
        await cache.close()


@pytest.mark.anyio
async def test_a_purge_reaches_who_was_told_nonsense_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops.cache.NEWS_SECONDS", 0.01)
    async with resp_server() as server:
        one, other = (AnswerCache(redis_settings(server.port), Metrics()) for _ in range(2))
        key = other.key(b"a")
        other.put(key, b"answer", ["subject x"])
        await asyncio.gather(*other._writes)
        await other.open()
        server.garbled = True
        await until_true(lambda: server.garbage > 1)
        server.garbled = False
        await one.purge(["subject x"])
        await until_true(partial(_is_gone, other, key))
        await one.close()
        await other.close()
