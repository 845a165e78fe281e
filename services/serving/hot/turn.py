"""A turn of the event loop: what arrived in it is answered together at its end, and nothing ever waits for more."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from itertools import takewhile
from typing import Any, Final

from mlops.logging import request_id
from mlops.metrics import Metrics
from mlops.predictions.row import new_identity
from services.asgi.errors import Busy
from services.asgi.middleware import Lines, Wait, too_often
from services.asgi.problems import MEDIA_TYPE
from services.serving.generic.calls import Headers, Reply
from services.serving.generic.carrier import Carrier
from services.serving.generic.faults import fault
from services.serving.generic.tickets import Ticket
from services.serving.hot.answers import Answers
from services.serving.hot.entry import Connection, Entry
from services.serving.hot.figures import Figures
from services.serving.hot.heads import Head, Heads

GRACE_SECONDS: Final = 0.5
"""How long the body of a hot request may stay away before FastAPI takes the request over."""
FIRST_GUESS_SECONDS: Final = 0.0001
WEIGHT: Final = 0.05
KEPT_HEADS: Final = 256
TOO_OFTEN: Final[Headers] = ("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")
log = logging.getLogger("services.access")


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
        self.answered = 0
        self._carrier = carrier
        self._metrics = metrics
        self._most_seconds = most_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._wait = wait
        self._lines = Lines(lines)
        self._figures = Figures(metrics)
        self._answers = Answers()
        self._entries: list[Entry] = []
        self._request_seconds = FIRST_GUESS_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()

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
        began, count = time.thread_time(), len(entries)
        most = max(1, int(self._most_seconds / self._request_seconds))
        predictor = self._carrier.predictor
        waits = [self._wait(entry.call.client) for entry in entries]
        allowed = entries if waits.count(None) == count else self._let_wait(entries, waits)
        tickets = [predictor.begin(entry.call) for entry in allowed[:most]]
        quick = [predictor.is_quick(ticket) for ticket in tickets]
        now = [ticket for ticket, is_quick in zip(tickets, quick, strict=True) if is_quick]
        predictor.run(now)
        replies = iter(predictor.end_all(now))
        for entry, ticket, is_quick in zip(allowed, tickets, quick, strict=False):
            if is_quick:
                self._send(entry, next(replies))
            else:
                self._spawn(self._later(entry, ticket))
        self._shed(allowed[most:])
        self._figures.settle()
        seconds = (time.thread_time() - began) / count
        self._request_seconds += WEIGHT * (seconds - self._request_seconds)

    async def sweep(self) -> None:
        """Hand over requests whose bodies stay away, and close connections that nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(GRACE_SECONDS / 2)
            now = time.perf_counter()
            for connection in _since(self.waiting, now - GRACE_SECONDS):
                _try(connection.hand_over)
            for connection in _since(self.idle, now - self._keep_alive_seconds):
                _try(connection.close_idle)

    def _let_wait(self, entries: Sequence[Entry], waits: Sequence[float | None]) -> list[Entry]:
        """Return the requests of clients that need not wait; those that must are told so as everywhere else."""
        for entry, seconds in zip(entries, waits, strict=True):
            if seconds is not None:
                self._metrics.shed.labels("rate").inc()
                if not entry.call.request_id:
                    entry.call.request_id = new_identity()
                told = fault(too_often(seconds), "predict", entry.call.request_id)
                self._send(entry, Reply(told.status, TOO_OFTEN, told.body, "", told.headers))
        return [entry for entry, seconds in zip(entries, waits, strict=True) if seconds is None]

    def _shed(self, entries: Sequence[Entry]) -> None:
        """Refuse what cannot be answered in time."""
        for entry in entries:
            self._metrics.shed.labels("queue").inc()
            error = Busy("more requests arrived than can be answered in time")
            self._send(entry, self._carrier.predictor.refuse(entry.call, error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, entry: Entry, ticket: Ticket) -> None:
        with self._metrics.requests_running.track_inprogress():
            reply = await self._carrier.finish(ticket)
        self._send(entry, reply)
        self._figures.settle()

    def _send(self, entry: Entry, reply: Reply) -> None:
        now = time.perf_counter()
        entry.connection.answer(entry.waiting, self._answers.written(entry, reply), now)
        seconds = now - entry.call.began
        self._figures.add(entry.route, reply.status, seconds)
        self.answered += 1
        left_out = self._lines.of(entry.route, reply.status)
        if left_out is not None:
            self._log(entry, reply, seconds, left_out)

    def _log(self, entry: Entry, reply: Reply, seconds: float, left_out: int) -> None:
        token = request_id.set(entry.call.request_id)
        told = {"method": "POST", "route": entry.route, "status": reply.status, "seconds": round(seconds, 4)}
        told |= {"answer_bytes": len(reply.body)}
        try:
            log.info("request", extra=told | ({"left_out": left_out} if left_out else {}))
        finally:
            request_id.reset(token)


def _try(sweep: Callable[[], None]) -> None:
    try:
        sweep()
    except Exception:
        # Whatever is wrong with one connection, the others are swept.
        log.exception("a connection was not swept")


def _since(connections: dict[Connection, float], latest: float) -> list[Connection]:
    """Take out the connections that stand there since ``latest`` or longer; those that came first stand first."""
    found = list(takewhile(lambda each: connections[each] <= latest, connections))
    for connection in found:
        del connections[connection]
    return found
