"""Sealed values in Redis, behind a circuit breaker: who writes into Redis can make us miss, and nothing else."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mlops.layers import InvalidSettings
from mlops.metrics import Metrics
from mlops.settings import CacheSettings

PREFIX: Final = b"masker:answer:1:"
NONCE_BYTES: Final = 12
STAMP_BYTES: Final = 8
FAILURES: Final = 3
CONNECTIONS: Final = 16
PATIENCE: Final = 10
"""A write waits so many times as long as a read, since nobody waits for it."""
FAULTS: Final = (RedisError, OSError, TimeoutError, ValueError)
"""What a call raises where Redis is away, slow, or not Redis: redis-py lets the ValueError of odd answers pass."""
log = logging.getLogger(__name__)


class Seal:
    """AES-256-GCM (NIST SP 800-38D) with the cache key as associated data and the time of expiry inside.

    A value that was changed, moved to another key or kept past its time does not open.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._cipher = AESGCM(key)
        self._clock = clock

    def close(self, key: bytes, value: bytes, ttl_seconds: float) -> bytes:
        """Return ``value`` sealed for ``key``."""
        expires = int((self._clock() + ttl_seconds) * 1000).to_bytes(STAMP_BYTES, "big")
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, expires + value, key)

    def open(self, key: bytes, sealed: bytes) -> bytes | None:
        """Return what was sealed for ``key``, or nothing if it does not open."""
        try:
            opened = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], key)
        except (InvalidTag, ValueError):
            return None
        expires = int.from_bytes(opened[:STAMP_BYTES], "big") / 1000
        return opened[STAMP_BYTES:] if expires > self._clock() else None


class Breaker:
    """Opens after some failures in a row; then lets one try through every so many seconds."""

    def __init__(self, failures: int, retry_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._failures = 0
        self._next_try = 0.0

    def allows(self) -> bool:
        """Say whether a call may be tried now."""
        if self._failures < self._limit:
            return True
        now = self._clock()
        if now < self._next_try:
            return False
        self._next_try = now + self._retry_seconds
        return True

    def succeeded(self) -> None:
        """Close again."""
        self._failures = 0

    def failed(self) -> None:
        """Count a failure."""
        self._failures += 1
        self._next_try = self._clock() + self._retry_seconds


class SealedRedis:
    """Get and put sealed values; every failure is a miss.

    Raises:
        InvalidSettings: the URL is none of Redis'.
    """

    def __init__(self, settings: CacheSettings, key: bytes, metrics: Metrics) -> None:
        self._seal = Seal(key)
        self._ttl_seconds = settings.ttl_seconds
        self._timeout_seconds = settings.redis_timeout_seconds
        self._breaker = Breaker(FAILURES, settings.redis_retry_seconds)
        self._metrics = metrics
        self._client = _client(settings)

    @property
    def client(self) -> Redis | None:
        """Redis itself, if there is one."""
        return self._client

    @property
    def configured(self) -> bool:
        """Whether there is a Redis at all."""
        return self._client is not None

    async def get(self, key: bytes) -> tuple[str | None, bytes | None]:
        """Return the outcome for the metrics (none without Redis) and the value, if there is one that opens."""
        if self._client is None:
            return None, None
        if not self._breaker.allows():
            return "skipped", None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                sealed = await self._client.get(name_of(key))
        except FAULTS as error:
            self._failed(error)
            return "error", None
        self._succeeded()
        if not isinstance(sealed, bytes):
            return "miss", None
        value = await asyncio.to_thread(self._seal.open, key, sealed)
        return ("rejected", None) if value is None else ("hit", value)

    async def put(self, key: bytes, value: bytes) -> None:
        """Seal and write, if Redis is there."""
        if self._client is None or not self._breaker.allows():
            return
        sealed = await asyncio.to_thread(self._seal.close, key, value, self._ttl_seconds)
        await self._patiently(self._client.set(name_of(key), sealed, px=self._ttl_seconds * 1000))

    async def greet(self) -> None:
        """Connect ahead of the first request, if Redis is there."""
        if self._client is not None:
            await self._patiently(self._client.exists(PREFIX))

    async def _patiently(self, call: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds * PATIENCE):
                await call
        except FAULTS as error:
            self._failed(error)
        else:
            self._succeeded()

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            await self._client.connection_pool.disconnect()

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._metrics.redis_up.set(1)

    def _failed(self, error: Exception) -> None:
        self._breaker.failed()
        self._metrics.redis_up.set(0)
        log.warning("Redis did not answer; going on without", extra={"error": error})


def name_of(key: bytes) -> bytes:
    """Return the name in Redis of the answer with a key."""
    return PREFIX + key.hex().encode()


def _client(settings: CacheSettings) -> Redis | None:
    if settings.redis_url is None:
        return None
    try:
        # No retries: a late answer from the cache is worth less than making it anew.
        pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            max_connections=CONNECTIONS,
            timeout=settings.redis_timeout_seconds,
            socket_timeout=settings.redis_timeout_seconds * PATIENCE,
            socket_connect_timeout=settings.redis_timeout_seconds * PATIENCE,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
    except ValueError:
        raise InvalidSettings("cache.redis_url: is no redis:// URL") from None
    return Redis(connection_pool=pool)
