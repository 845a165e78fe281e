"""What happens around every request: its id, its account in log and metrics, safe headers, and no error escapes.

All of it is one layer with one wrapper around what is sent, since every layer of its own costs each request as much as
what it does.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops.logging import request_id
from mlops.metrics import METHODS, Metrics
from services.asgi.errors import RequestError, TooManyRequests
from services.asgi.guard import Guard
from services.asgi.problems import NAMED, problem

HEADER: Final = "X-Request-Id"
SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
UNCOUNTED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""What no client is ever refused."""
MEDIA: Final = ("/v1/mask/", "/v1/detect/", "/v1/explain/image")
"""Where media are sent to, each of which costs as much as many predictions."""
ID_BYTES: Final = 16
ERROR: Final = 400
_SAFE: Final = {name.lower().encode(): value.encode() for name, value in SAFE_HEADERS.items()}
_SANE: Final = re.compile(SANE.pattern.encode())
_ID: Final = HEADER.lower().encode()
_START: Final = "http.response.start"
Wait = Callable[[str], float | None]
"""Says how many seconds a client, named by its address, must wait; None where it need not."""
Pair = tuple[bytes, bytes]
log = logging.getLogger("services.access")


class Around:
    """Guards, names, counts, times and logs every request by its route's template; path, query, client stay untold.

    Args:
        app: What answers.
        metrics: What is counted.
        guard: Who may talk to this server.
        wait: How long a client must wait.
        wait_media: How long it must wait with media.
        lines: Lines of the log that the answers of one route may make in a second; errors are always logged.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, guard: Guard, wait: Wait, wait_media: Wait, lines: int) -> None:
        self._app = app
        self._metrics = metrics
        self._guard = guard
        self._wait = wait
        self._wait_media = wait_media
        self._lines = Lines(lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket" and (error := self._refusal(scope)) is not None:
            await problem(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = _identity(scope["headers"])
        named = _ID, identity.encode()
        status, size_bytes, started = 499, 0, False
        start = time.perf_counter()

        async def told(message: Message) -> None:
            nonlocal status, size_bytes, started
            if message["type"] == _START:
                status, started = message["status"], True
                message["headers"] = _dressed(message.get("headers", ()), named)
            else:
                size_bytes += len(message.get("body", b""))
            await send(message)

        token = request_id.set(identity)
        running = self._metrics.requests_running
        running.inc()
        try:
            error = self._refusal(scope)
            if error is None:
                await self._app(scope, receive, told)
            else:
                await problem(error)(scope, receive, told)
        except Exception as error:
            if started:
                raise
            log.exception("unexpected error")
            answer = problem(error)
            answer.headers.update(scope.get(NAMED, {}))
            await answer(scope, receive, told)
        finally:
            running.dec()
            self._account(scope, status, size_bytes, time.perf_counter() - start)
            request_id.reset(token)

    def _refusal(self, scope: Scope) -> RequestError | None:
        error = self._guard.refusal(scope)
        if error is not None or scope.get("path") in UNCOUNTED:
            return error
        client = scope.get("client")
        if client is None:
            return None
        seconds = self._wait(client[0])
        if seconds is None and scope.get("path", "").startswith(MEDIA):
            seconds = self._wait_media(client[0])
        if seconds is None:
            return None
        self._metrics.shed.labels("rate").inc()
        return too_often(seconds)

    def _account(self, scope: Scope, status: int, size_bytes: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route: str = getattr(scope.get("route"), "path", None) or "none"
        self._metrics.request[route, method, str(status)].inc()
        self._metrics.request_time[(route,)].observe(seconds)
        left_out = self._lines.of(route, status)
        if left_out is not None:
            told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
            told |= {"answer_bytes": size_bytes}
            log.info("request", extra=told | ({"left_out": left_out} if left_out else {}))


def too_often(seconds: float) -> TooManyRequests:
    """Return the error of a client that must wait so long."""
    return TooManyRequests("a client may only ask so often; see limits.client_*", max(1, round(seconds)))


class Lines:
    """Says which answers are logged: errors all, others so many a second and route.

    Args:
        most: How many.
        clock: Seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._second = 0
        self._logged: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def of(self, route: str, status: int) -> int | None:
        """Return how many answers of the route were left out before this one, which is logged; None to leave it out."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._logged.clear()
        logged = self._logged.get(route, 0)
        if status < ERROR and logged >= self._most:
            self._left_out[route] = self._left_out.get(route, 0) + 1
            return None
        self._logged[route] = logged + 1
        return self._left_out.pop(route, 0)


def _identity(headers: Iterable[Pair]) -> str:
    """Return the caller's own id if it is sane, else a new one."""
    for name, value in headers:
        if name == _ID and _SANE.fullmatch(value):
            return value.decode()
    return os.urandom(ID_BYTES).hex()


def _dressed(headers: Iterable[Any], named: Pair) -> list[Pair]:
    """Return the headers of an answer with its id, and with the safe ones that it has not itself."""
    dressed = [tuple(header) for header in headers]
    there = {name for name, _ in dressed}
    dressed.append(named)
    dressed += [pair for pair in _SAFE.items() if pair[0] not in there]
    return dressed
