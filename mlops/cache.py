"""Answers that were given before: in the process first, then sealed in Redis for all replicas.

What is kept is whatever the caller hands over; serving hands over masked answers alone, never what came in.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mlops.metrics import Metrics
from mlops.redis import SealedRedis
from mlops.settings import CacheSettings

WRITES_WAITING: Final = 32
"""Answers on their way to Redis at one time; more are not written there."""


class Tier(StrEnum):
    """Where an answer was found."""

    MEMORY = "memory"
    REDIS = "redis"


class Memory:
    """Answers by key, at most so many bytes and so old; the least recently used one goes first.

    Belongs to one event loop: nothing is locked.
    """

    def __init__(self, limit_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_bytes = limit_bytes
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the answer, if it is there and fresh."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, value = entry
        if expires <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer, dropping older ones as needed; one larger than all the room is not kept."""
        self._drop(key)
        if len(value) > self._limit_bytes:
            return
        while self.size_bytes + len(value) > self._limit_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[key] = (self._clock() + self._ttl_seconds, value)
        self.size_bytes += len(value)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= len(entry[1])


class AnswerCache:
    """Both tiers behind one door. Whatever fails here is a miss, never an error.

    Raises:
        InvalidSettings: Redis is set but its secret cannot be read, or its URL is none.
    """

    def __init__(self, settings: CacheSettings, metrics: Metrics) -> None:
        secret = settings.read_secret() or secrets.token_bytes(32)
        self._identity = derive(secret, b"masker answers 1: keys")
        self._entry_bytes = settings.entry_bytes
        self._metrics = metrics
        self._memory = Memory(settings.memory_bytes, settings.ttl_seconds)
        self._redis = SealedRedis(settings, derive(secret, b"masker answers 1: seal"), metrics)
        self._writes: set[asyncio.Task[None]] = set()

    async def key(self, content: bytes, *facts: str) -> bytes:
        """Return the key (32 bytes) of the answer to ``content`` under ``facts``: model, precision, policy.

        It is an HMAC (RFC 2104), so that whoever can list the keys cannot test whether a file he has was ever sent.
        """
        # Hashing 32 MiB takes some 20 ms, too long for the event loop; hashlib lets other threads run meanwhile.
        digest = await asyncio.to_thread(lambda: hashlib.sha256(content).digest())
        parts = (digest, *(fact.encode() for fact in facts))
        # Lengths go in too: otherwise ("ab", "c") and ("a", "bc") would be one.
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._identity, message, "sha256")

    async def get(self, key: bytes) -> tuple[bytes, Tier] | None:
        """Return the answer and where it was, or nothing."""
        value = self._memory.get(key)
        self._count(Tier.MEMORY, "miss" if value is None else "hit")
        if value is not None:
            return value, Tier.MEMORY
        outcome, value = await self._redis.get(key)
        if outcome is not None:
            self._count(Tier.REDIS, outcome)
        if value is None:
            return None
        self._keep(key, value)
        return value, Tier.REDIS

    def put(self, key: bytes, value: bytes) -> None:
        """Keep an answer; Redis gets it in the background."""
        if len(value) > self._entry_bytes:
            return
        self._keep(key, value)
        if self._redis.configured and len(self._writes) < WRITES_WAITING:
            write = asyncio.get_running_loop().create_task(self._redis.put(key, value))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def open(self) -> None:
        """Connect to Redis, if there is one; if it does not answer, go on without."""
        await self._redis.greet()

    async def close(self) -> None:
        """Wait for the last writes and close the connections."""
        await asyncio.gather(*self._writes)
        await self._redis.close()

    def _keep(self, key: bytes, value: bytes) -> None:
        self._memory.put(key, value)
        self._metrics.cache_bytes.set(self._memory.size_bytes)

    def _count(self, tier: Tier, outcome: str) -> None:
        self._metrics.cache_requests.labels(tier, outcome).inc()


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes from ``secret`` for one purpose, by HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)
