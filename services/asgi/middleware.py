"""What happens around every request: its id, its account in log and metrics, safe headers, and no error escapes."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops.logging import request_id
from mlops.metrics import METHODS, Metrics
from services.asgi.problems import problem

HEADER: Final = "X-Request-Id"
SANE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
log = logging.getLogger("services.access")


class RequestIds:
    """Gives every request an id, the caller's own if it is sane; the answer and all log lines have it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        identity = given if SANE.fullmatch(given) else uuid.uuid4().hex

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[HEADER] = identity
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        token = request_id.set(identity)
        try:
            await self._app(scope, receive, with_headers)
        finally:
            request_id.reset(token)


class Account:
    """Counts, times and logs every request by its route's template; query, path and client stay untold."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and account for it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, size_bytes = 499, 0
        start = time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status, size_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size_bytes += len(message.get("body", b""))
            await send(message)

        try:
            with self._metrics.requests_running.track_inprogress():
                await self._app(scope, receive, counted)
        finally:
            seconds = time.perf_counter() - start
            method = scope["method"] if scope["method"] in METHODS else "other"
            route = getattr(scope.get("route"), "path", None) or "none"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
            log.info("request", extra=told | {"answer_bytes": size_bytes})


class LastResort:
    """Answers any error that nothing else answered with a bare 500, and logs where it happened."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer what it raises."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            log.exception("unexpected error")
            await problem(error)(scope, receive, send)
