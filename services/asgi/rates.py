"""How often a client may ask: counted here, in portions, and settled in memory or, for all replicas together, in Redis.

Each request is a count in a dictionary; only every `PORTIONS`-th part of what is allowed is settled with the limiter,
behind the request. So a limit costs nearly nothing, and a client may exceed it by a portion for each replica.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter as SharedLimiter
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from mlops.layers import InvalidSettings
from mlops.settings import LimitSettings

PORTIONS: Final = 50
CLIENTS: Final = 20_000
"""Clients that are counted at one time; before there are more, all begin anew."""
SCHEMES: Final = ("redis://", "rediss://")
PATIENCE_SECONDS: Final = 1.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What is known of a client.

    Attributes:
        unsettled: Requests since the last settlement.
        until: Until when it is refused.
    """

    unsettled: int = 0
    until: float = 0.0


class Rates:
    """Counts requests by client. Belongs to one event loop.

    Args:
        limits: In which time, and where they are counted.
        clock: Seconds since the epoch.
        most: How many; 0 for any number, those of any kind unless given.
        what: Name of what is counted, which has counts of its own.

    Raises:
        InvalidSettings: The URL is none of Redis'.
    """

    def __init__(
        self,
        limits: LimitSettings,
        clock: Callable[[], float] = time.time,
        most: int | None = None,
        what: str = "masker",
    ) -> None:
        self._most = limits.client_requests if most is None else most
        self._what = what
        self._seconds = limits.client_seconds
        self._portion = max(1, self._most // PORTIONS)
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._memory = FixedWindowRateLimiter(MemoryStorage())
        self._storage = _storage(limits) if self._most else None
        self._shared = None if self._storage is None else SharedLimiter(self._storage)
        self._settling: set[asyncio.Task[None]] = set()

    def wait(self, client: str) -> float | None:
        """Count a request of a client; returns the seconds that it must wait before the next, None where it need not.

        Args:
            client: Its address.
        """
        if not self._most:
            return None
        now = self._clock()
        tally = self._tallies.get(client)
        if tally is None:
            tally = self._new(client)
        if tally.until > now:
            return tally.until - now
        tally.unsettled += 1
        if tally.unsettled < self._portion:
            return None
        self._settle(client, tally)
        return tally.until - now if tally.until > now else None

    async def close(self) -> None:
        """Wait for what is being settled and close the connections."""
        await asyncio.gather(*self._settling)
        if self._storage is not None:
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]  # there is no other way to it

    def _new(self, client: str) -> Tally:
        if len(self._tallies) >= CLIENTS:
            # What is settled stays settled: a client gains a portion by being forgotten.
            self._tallies.clear()
        return self._tallies.setdefault(client, Tally())

    def _settle(self, client: str, tally: Tally) -> None:
        portion, tally.unsettled = tally.unsettled, 0
        if self._shared is None:
            self._settle_here(client, tally, portion)
            return
        task = asyncio.get_running_loop().create_task(self._settle_there(self._shared, client, tally, portion))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _settle_here(self, client: str, tally: Tally, portion: int) -> None:
        item = self._item()
        if not self._memory.hit(item, client, cost=portion):
            tally.until = self._memory.get_window_stats(item, client).reset_time

    async def _settle_there(self, shared: SharedLimiter, client: str, tally: Tally, portion: int) -> None:
        item = self._item()
        try:
            if not await shared.hit(item, client, cost=portion):
                tally.until = (await shared.get_window_stats(item, client)).reset_time
        except StorageError as error:
            log.warning("Redis did not answer; clients are counted here", extra={"error": error})
            self._settle_here(client, tally, portion)

    def _item(self) -> RateLimitItem:
        return RateLimitItemPerSecond(self._most, self._seconds, namespace=self._what)


def _storage(limits: LimitSettings) -> RedisStorage | None:
    if limits.client_redis_url is None:
        return None
    url = limits.client_redis_url.get_secret_value()
    if not url.startswith(SCHEMES):
        raise InvalidSettings("limits.client_redis_url: is no redis:// URL")
    # What is not told in a second is not waited for: nobody is refused meanwhile.
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )
