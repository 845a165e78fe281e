"""The places for live streams, of pictures and of sound alike: there are only so many, and who has none is told so."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from fastapi import WebSocket
from starlette.websockets import WebSocketState

from mlops.metrics import Metrics

POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013
FULL: Final = "as many streams as are allowed are being masked; come back later"


class NoPlace(Exception):
    """As many streams as are allowed are being masked."""


class Places:
    """Counts the streams that are masked now.

    Args:
        most: How many there may be at one time.
        metrics: What is counted.
    """

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most = most
        self._metrics = metrics
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place while the context is open.

        Raises:
            NoPlace: All are taken.
        """
        if self._taken >= self._most:
            raise NoPlace(FULL)
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, streams: int) -> None:
        self._taken += streams
        self._metrics.live_sessions.set(self._taken)


@contextmanager
def own_thread() -> Iterator[ThreadPoolExecutor]:
    """Give a stream a thread of its own while the context is open; work that is late is not waited for."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="live")
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


async def next_message(socket: WebSocket, idle_seconds: float) -> bytes | str | None:
    """Return what the client sends next; None once it has left, or was sent away for its silence."""
    try:
        async with asyncio.timeout(idle_seconds):
            message = await socket.receive()
    except TimeoutError:
        await socket.close(reason="nothing came")
        return None
    if message["type"] == "websocket.disconnect":
        return None
    data = message.get("bytes")
    return str(message.get("text") or "") if data is None else bytes(data)


async def refuse(socket: WebSocket, code: int, reason: str) -> None:
    """Say why there is no stream; before a socket is accepted nobody would be told code and reason."""
    if socket.application_state is WebSocketState.CONNECTING:
        await socket.accept()
    await socket.close(code, reason)
