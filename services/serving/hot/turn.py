"""A turn of the event loop: what arrived in it is answered together at its end, and nothing ever waits for more."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from http import HTTPStatus
from itertools import takewhile
from typing import Any, Final, NamedTuple, Protocol

from mlops.logging import request_id
from mlops.metrics import Metrics
from mlops.predictions.row import new_identity
from services.asgi.errors import Busy
from services.asgi.middleware import SAFE_HEADERS, Lines, Wait, too_often
from services.serving.generic.calls import Call, Headers, Reply
from services.serving.generic.carrier import Carrier
from services.serving.generic.faults import fault
from services.serving.generic.tickets import Ticket
from services.serving.hot.heads import Head, Heads

GRACE_SECONDS: Final = 0.5
"""How long the body of a hot request may stay away before FastAPI takes the request over."""
FIRST_GUESS_SECONDS: Final = 0.0001
WEIGHT: Final = 0.05
KEPT_HEADS: Final = 256
log = logging.getLogger("services.access")


class _Silent:
    """An event that nobody waits for."""

    def set(self) -> None:
        """Do nothing."""


class Waiting:
    """Stands where uvicorn keeps the cycle of the request that it answers, so that what follows it waits.

    Attributes:
        response_complete: Whether it was answered.
        keep_alive: Whether the connection stays open afterwards.
        disconnected: Whether the client has gone.
        message_event: What uvicorn sets when the client goes.
    """

    __slots__ = ("disconnected", "keep_alive", "response_complete")
    message_event: Final = _Silent()

    def __init__(self) -> None:
        self.response_complete = False
        self.keep_alive = True
        self.disconnected = False


class Connection(Protocol):
    """Where a hot request came from."""

    server_state: Any

    def answer(self, waiting: Waiting, data: bytes) -> None:
        """Send the answer to a request."""

    def hand_over(self) -> None:
        """Leave the request that is not complete to FastAPI."""

    def close_idle(self) -> None:
        """Close the connection, which nobody has used for long."""


class Entry(NamedTuple):
    """A hot request: where it came from, its place there, what it asks, and its route's template for metrics."""

    connection: Connection
    waiting: Waiting
    call: Call
    route: str


class Turn:
    """Collects hot requests and answers them.

    Args:
        carrier: Who answers.
        heads: Which requests are hot.
        metrics: What is counted.
        wait: Says how long a client must wait.
        most_seconds: How long a turn may take; requests that would make it longer are refused.
        keep_alive_seconds: How long a connection may be idle.
        lines: Lines of the log that the answers of one route may make in a second; errors are always logged.

    Attributes:
        heads: Which requests are hot.
        known: What was found out of the heads that came last, by all of their bytes.
        waiting: Connections whose hot request is not all there, and since when.
        idle: Connections that wait for the next request after a hot one, and since when.
        answered: How many requests were answered.
    """

    def __init__(
        self,
        carrier: Carrier,
        heads: Heads,
        metrics: Metrics,
        wait: Wait,
        most_seconds: float,
        keep_alive_seconds: float,
        lines: int,
    ) -> None:
        self.heads = heads
        self.known: dict[bytes, Head] = {}
        self.waiting: dict[Connection, float] = {}
        self.idle: dict[Connection, float] = {}
        self._carrier = carrier
        self._metrics = metrics
        self._most_seconds = most_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._lines = Lines(lines)
        self._wait = wait
        self.answered = 0
        self._entries: list[Entry] = []
        self._request_seconds = FIRST_GUESS_SECONDS
        self._blocks: dict[tuple[int, Headers], bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        safe = "".join(f"{name.lower()}: {value}\r\n" for name, value in SAFE_HEADERS.items())
        self._safe = safe.encode()

    def add(self, entry: Entry) -> None:
        """Take a request whose body is there."""
        if not self._entries:
            asyncio.get_running_loop().call_soon(self.flush)
        self._entries.append(entry)

    def remember(self, bytes_of_head: bytes, head: Head) -> None:
        """Keep what a head says for the next request that begins with the same bytes, as those of a program do."""
        if len(self.known) >= KEPT_HEADS:
            self.known.clear()
        self.known[bytes_of_head] = head

    def flush(self) -> None:
        """Answer what arrived in this turn."""
        entries, self._entries = self._entries, []
        # Processor time: what else this machine does now and then says nothing of what a request costs.
        began = time.thread_time()
        most = max(1, int(self._most_seconds / self._request_seconds))
        predictor = self._carrier.predictor
        counts: Counter[tuple[str, int]] = Counter()
        count, entries = len(entries), [entry for entry in entries if self._may(entry, counts)]
        tickets = [predictor.begin(entry.call) for entry in entries[:most]]
        quick = [ticket for ticket in tickets if predictor.is_quick(ticket)]
        predictor.run(quick)
        is_quick = {id(ticket) for ticket in quick} if len(quick) < len(tickets) else None
        for entry, ticket in zip(entries, tickets, strict=False):
            if is_quick is None or id(ticket) in is_quick:
                self._send(entry, predictor.end(ticket), counts)
            else:
                self._spawn(self._later(entry, ticket))
        for entry in entries[most:]:
            self._metrics.shed.labels("queue").inc()
            error = Busy("more requests arrived than can be answered in time")
            self._send(entry, predictor.refuse(entry.call, error), counts)
        for (route, status), count in counts.items():
            self._metrics.request[route, "POST", str(status)].inc(count)
        seconds = (time.thread_time() - began) / count
        self._request_seconds += WEIGHT * (seconds - self._request_seconds)

    async def sweep(self) -> None:
        """Hand over requests whose bodies stay away, and close connections that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(GRACE_SECONDS / 2)
            now = time.perf_counter()
            for connection in _since(self.waiting, now - GRACE_SECONDS):
                connection.hand_over()
            for connection in _since(self.idle, now - self._keep_alive_seconds):
                connection.close_idle()

    def _may(self, entry: Entry, counts: Counter[tuple[str, int]]) -> bool:
        """Say whether a client need not wait; one that must is told so as everywhere else."""
        seconds = self._wait(entry.call.client)
        if seconds is None:
            return True
        self._metrics.shed.labels("rate").inc()
        if not entry.call.request_id:
            entry.call.request_id = new_identity()
        told = fault(too_often(seconds), "predict", entry.call.request_id)
        headers = ("Content-Type", told.media_type), ("Cache-Control", "no-store")
        self._send(entry, Reply(told.status, headers, told.body, "", told.headers), counts)
        return False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, entry: Entry, ticket: Ticket) -> None:
        with self._metrics.requests_running.track_inprogress():
            reply = await self._carrier.finish(ticket)
        counts: Counter[tuple[str, int]] = Counter()
        self._send(entry, reply, counts)
        self._metrics.request[entry.route, "POST", str(reply.status)].inc()

    def _send(self, entry: Entry, reply: Reply, counts: Counter[tuple[str, int]]) -> None:
        entry.connection.answer(entry.waiting, self._encoded(entry, reply))
        seconds = time.perf_counter() - entry.call.began
        counts[entry.route, reply.status] += 1
        self._metrics.request_time[(entry.route,)].observe(seconds)
        self.answered += 1
        left_out = self._lines.of(entry.route, reply.status)
        if left_out is not None:
            self._log(entry, reply, seconds, left_out)

    def _encoded(self, entry: Entry, reply: Reply) -> bytes:
        key = reply.status, reply.headers
        block = self._blocks.get(key)
        if block is None:
            if len(self._blocks) >= KEPT_HEADS:
                self._blocks.clear()
            block = self._blocks[key] = self._block(reply)
        own = f"x-request-id: {entry.call.request_id}\r\ncontent-length: {len(reply.body)}\r\n"
        if reply.identity:
            own += f"x-prediction-id: {reply.identity}\r\n"
        closes = not entry.waiting.keep_alive
        for name, value in reply.extra:
            own += f"{name.lower()}: {value}\r\n"
            if name.lower() == "connection" and value.lower() == "close":
                closes, entry.waiting.keep_alive = False, False
        if closes:
            own += "connection: close\r\n"
        first = [b"%b: %b\r\n" % pair for pair in entry.connection.server_state.default_headers]
        return b"".join((block, *first, own.encode("latin-1"), b"\r\n", reply.body))

    def _block(self, reply: Reply) -> bytes:
        status = HTTPStatus(reply.status)
        told = "".join(f"{name.lower()}: {value}\r\n" for name, value in reply.headers)
        return f"HTTP/1.1 {status.value} {status.phrase}\r\n{told}".encode("latin-1") + self._safe

    def _log(self, entry: Entry, reply: Reply, seconds: float, left_out: int) -> None:
        token = request_id.set(entry.call.request_id)
        told = {"method": "POST", "route": entry.route, "status": reply.status, "seconds": round(seconds, 4)}
        told |= {"answer_bytes": len(reply.body)}
        try:
            log.info("request", extra=told | ({"left_out": left_out} if left_out else {}))
        finally:
            request_id.reset(token)


def _since(connections: dict[Connection, float], latest: float) -> list[Connection]:
    """Take out the connections that stand there since ``latest`` or longer; those that came first stand first."""
    found = list(takewhile(lambda each: connections[each] <= latest, connections))
    for connection in found:
        del connections[connection]
    return found
