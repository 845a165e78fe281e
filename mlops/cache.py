"""Answers that were given before: in the process first, then sealed in Redis for all replicas.

What is kept is whatever the caller hands over; serving hands over masked answers alone, never what came in.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mlops.metrics import Metrics
from mlops.purges import PurgeFailed, Purges
from mlops.redis import PATIENCE, SealedRedis, name_of
from mlops.settings import CacheSettings

QUICK_BYTES: Final = 1 << 17
"""So much is hashed in about the time that it takes to ask another thread."""
NEWS_SECONDS: Final = 1.0
"""How long what another replica has purged may still be answered here."""
MARK_BYTES: Final = 16
AGAIN_SECONDS: Final = 0.1
"""Between two tries to end what listens."""
WRITES_WAITING: Final = 32
"""Answers on their way to Redis at one time; more are not written there."""
log = logging.getLogger(__name__)


class Tier(StrEnum):
    """Where an answer was found."""

    MEMORY = "memory"
    REDIS = "redis"


@dataclass(slots=True)
class Entry:
    """An answer in the process: until when it is kept, what it is, and what it can be purged by."""

    expires: float
    value: bytes
    tags: set[bytes]


class Memory:
    """Answers by key, at most so many bytes and so old; the least recently used one goes first.

    Belongs to one event loop: nothing is locked.
    """

    def __init__(self, limit_bytes: int, ttl_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_bytes = limit_bytes
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes, tags: Collection[bytes] = ()) -> bytes | None:
        """Return the answer, if it is there and fresh; from now on it has these tags, too."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        entry.tags.update(tags)
        return entry.value

    def put(self, key: bytes, value: bytes, tags: Collection[bytes] = ()) -> None:
        """Keep an answer, dropping older ones as needed; one larger than all the room is not kept."""
        self._drop(key)
        if len(value) > self._limit_bytes:
            return
        while self.size_bytes + len(value) > self._limit_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[key] = Entry(self._clock() + self._ttl_seconds, value, set(tags))
        self.size_bytes += len(value)

    def purge(self, tags: Collection[bytes]) -> int:
        """Drop all answers that have all of these tags; returns how many there were."""
        wanted = set(tags)
        gone = [key for key, entry in self._entries.items() if wanted <= entry.tags]
        for key in gone:
            self._drop(key)
        return len(gone)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= len(entry.value)


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
        client = self._redis.client
        timeout_seconds = settings.redis_timeout_seconds * PATIENCE
        self._purges = None if client is None else Purges(client, settings.ttl_seconds, timeout_seconds)
        self._tags = derive(secret, b"masker answers 1: tags")
        self._all = self._mark("")
        self._ttl_seconds = settings.ttl_seconds
        self._purged: list[tuple[float, frozenset[bytes]]] = []
        self._listening: asyncio.Task[None] | None = None
        self._writes: set[asyncio.Task[None]] = set()

    async def digest(self, content: bytes) -> bytes:
        """Return the SHA-256 of what is asked about, for `key`."""
        if len(content) <= QUICK_BYTES:
            return hashlib.sha256(content).digest()
        # Hashing 32 MiB takes some 20 ms, too long for the event loop; hashlib lets other threads run meanwhile.
        return await asyncio.to_thread(lambda: hashlib.sha256(content).digest())

    def key(self, digest: bytes, *facts: str) -> bytes:
        """Return the key (32 bytes) of the answer to a content of this digest under ``facts``: model, policy, all else.

        It is an HMAC (RFC 2104), so that whoever can list the keys cannot test whether a file he has was ever sent.
        """
        parts = (digest, *(fact.encode() for fact in facts))
        # Lengths go in too: otherwise ("ab", "c") and ("a", "bc") would be one.
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._identity, message, "sha256")

    async def get(self, key: bytes, tags: Sequence[str] = ()) -> tuple[bytes, Tier] | None:
        """Return the answer and where it was, or nothing.

        Args:
            key: What it lies under.
            tags: What it can be purged by from now on, beside what it could before, such as who got it.
        """
        marks = self._marks(tags)
        value = self._memory.get(key, marks)
        self._count(Tier.MEMORY, "miss" if value is None else "hit")
        if value is not None:
            return value, Tier.MEMORY
        outcome, value = await self._redis.get(key)
        if outcome is not None:
            self._count(Tier.REDIS, outcome)
        if value is None:
            return None
        before, value = _unpacked(value)
        if self._is_taken_back(before):
            return None
        self._keep(key, value, {*before, *marks})
        return value, Tier.REDIS

    def put(self, key: bytes, value: bytes, tags: Sequence[str] = ()) -> None:
        """Keep an answer; Redis gets it in the background.

        Args:
            key: What it lies under.
            value: The answer.
            tags: What it can be purged by.
        """
        if len(value) > self._entry_bytes:
            return
        marks = self._marks(tags)
        self._keep(key, value, marks)
        if self._redis.configured and len(self._writes) < WRITES_WAITING:
            write = asyncio.get_running_loop().create_task(self._write(key, value, marks))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)

    async def purge(self, tags: Sequence[str]) -> int:
        """Take back all answers that have all of these tags, here, in Redis and, soon after, in all replicas.

        Args:
            tags: As given with the answers; none for all answers.

        Returns:
            How many answers were taken back here, or in Redis where there were more of them.

        Raises:
            PurgeFailed: Redis did not answer; what is in this process is gone all the same.
        """
        marks = self._marks(tags)
        gone = self._take_back(marks)
        # What is on its way to Redis arrives first, to be purged with the rest.
        await asyncio.gather(*self._writes)
        return gone if self._purges is None else max(gone, await self._purges.purge(marks))

    async def open(self) -> None:
        """Connect to Redis, if there is one; if it does not answer, go on without."""
        await self._redis.greet()
        if self._purges is not None:
            self._listening = asyncio.create_task(self._listen(self._purges))

    async def close(self) -> None:
        """Wait for the last writes and close the connections."""
        if self._listening is not None:
            await _ended(self._listening)
        await asyncio.gather(*self._writes)
        await self._redis.close()

    async def _listen(self, purges: Purges) -> None:
        while True:
            try:
                for marks in await purges.news():
                    self._take_back(marks)
            except Exception:
                # Nobody would notice that the task is gone, and what others purge would be answered here.
                log.exception("it is not known what other replicas have purged")
            await asyncio.sleep(NEWS_SECONDS)

    def _take_back(self, marks: Collection[bytes]) -> int:
        gone = self._memory.purge(marks)
        self._metrics.cache_bytes.set(self._memory.size_bytes)
        now = time.monotonic()
        self._purged = [(until, each) for until, each in self._purged if until > now]
        self._purged.append((now + self._ttl_seconds, frozenset(marks)))
        return gone

    def _is_taken_back(self, marks: Collection[bytes]) -> bool:
        """Say whether an answer from Redis was purged lately: Redis may have lost what it knew of its tags by then."""
        now = time.monotonic()
        return any(until > now and each.issubset(marks) for until, each in self._purged)

    async def _write(self, key: bytes, value: bytes, marks: Sequence[bytes]) -> None:
        if self._purges is not None:
            try:
                await self._purges.index(name_of(key), marks)
            except PurgeFailed:
                # What could not be taken back does not go there.
                return
        await self._redis.put(key, _packed(marks, value))

    def _marks(self, tags: Sequence[str]) -> list[bytes]:
        """Return tags as they are kept: keyed hashes, in hex; every answer has one that all have."""
        return [self._all, *(self._mark(tag) for tag in tags)]

    def _mark(self, tag: str) -> bytes:
        return hmac.digest(self._tags, tag.encode(), "sha256")[:MARK_BYTES].hex().encode()

    def _keep(self, key: bytes, value: bytes, marks: Collection[bytes]) -> None:
        self._memory.put(key, value, marks)
        self._metrics.cache_bytes.set(self._memory.size_bytes)

    def _count(self, tier: Tier, outcome: str) -> None:
        self._metrics.cache_requests.labels(tier, outcome).inc()


async def _ended(task: asyncio.Task[None]) -> None:
    """End a task, also one that misses that it is to end: redis-py sends by `asyncio.wait_for`, which may in 3.11."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_SECONDS)


def derive(secret: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes from ``secret`` for one purpose, by HKDF-SHA256 (RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret)


def _packed(marks: Sequence[bytes], value: bytes) -> bytes:
    """Return an answer with its tags before it, so that who gets it from Redis knows what it can be purged by."""
    return len(marks).to_bytes(1, "big") + b"".join(marks) + value


def _unpacked(packed: bytes) -> tuple[list[bytes], bytes]:
    end = 1 + packed[0] * 2 * MARK_BYTES
    return [packed[at : at + 2 * MARK_BYTES] for at in range(1, end, 2 * MARK_BYTES)], packed[end:]
