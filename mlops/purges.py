"""Answers taken back before their time: which of them lie in Redis under which tag, and word of it to all replicas.

    masker:tag:1:<tag>    set of the names of answers that have the tag
    masker:purges:1       list of what was purged lately, which replicas read to purge what they hold in process

Tags are keyed hashes: whoever reads Redis learns of no subject. Who writes there can make us miss, and nothing else.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from mlops.redis import FAULTS

TAG: Final = b"masker:tag:1:"
NEWS: Final = b"masker:purges:1"
LATEST: Final = 1000
"""Purges that are remembered at most."""
TOKEN_BYTES: Final = 8
SEPARATOR: Final = b" "


class PurgeFailed(Exception):
    """Redis did not answer: what lies there was not purged."""


class Purges:
    """Keeps the tags of answers in Redis.

    Args:
        client: Redis.
        ttl_seconds: How long answers are kept.
        timeout_seconds: How long Redis is waited for.
    """

    def __init__(self, client: Redis, ttl_seconds: int, timeout_seconds: float) -> None:
        self._client = client
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds
        self._seen: set[bytes] = set()

    async def index(self, name: bytes, tags: Sequence[bytes]) -> None:
        """Note the tags of an answer; where Redis does not take them, the answer must not lie there.

        Args:
            name: Its name in Redis.
            tags: Its tags.

        Raises:
            PurgeFailed: Redis did not take them.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                for tag in tags:
                    await self._client.sadd(TAG + tag, name)
                    await self._client.expire(TAG + tag, 2 * self._ttl_seconds)
        except FAULTS as error:
            raise PurgeFailed from error

    async def purge(self, tags: Sequence[bytes]) -> int:
        """Delete the answers that have all of these tags, and tell the other replicas; returns how many there were.

        Raises:
            PurgeFailed: Redis did not answer.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                sets = [set(await self._client.smembers(TAG + tag)) for tag in tags]
                names = set.intersection(*sets)
                gone = int(await self._client.delete(*names)) if names else 0
                news = SEPARATOR.join((secrets.token_hex(TOKEN_BYTES).encode(), *tags))
                await self._client.rpush(NEWS, news)
                await self._client.ltrim(NEWS, -LATEST, -1)
                await self._client.expire(NEWS, 2 * self._ttl_seconds)
                return gone
        except FAULTS as error:
            raise PurgeFailed from error

    async def news(self) -> list[tuple[bytes, ...]]:
        """Return the tags of what was purged since the last time that this was asked; nothing where Redis is away."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                told = [bytes(word) for word in await self._client.lrange(NEWS, 0, -1) if isinstance(word, bytes)]
        except FAULTS:
            return []
        fresh = [word for word in told if word not in self._seen]
        self._seen = set(told)
        return [tuple(word.split(SEPARATOR)[1:]) for word in fresh]
