"""uvicorn's protocol, with bounds on what comes before a body: how long a head may be, and how long it may take.

httptools keeps a head of any length, and uvicorn waits for it as long as a connection lives; both would let one client
fill the memory, or all places, of a server. So would the rest of a body that was answered before it was there: uvicorn
looks no more whether such a connection is idle. What is no HTTP is told as a problem, too.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.asgi.problems import MEDIA_TYPE

HEAD_BYTES: Final = 64 << 10
"""Longest head, beside what one read of a socket brings."""
HEAD_SECONDS: Final = 20.0
"""Longest time from the connection, or the first byte of a later request, to the end of a head; and for what comes of a
body after its answer."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection. Whoever overrides `on_message_begin` or `on_headers_complete` calls `head_begins`, `head_ends`."""

    cycle: Any
    head_seconds = HEAD_SECONDS

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*arguments, **named)
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and look whether a head is still not all there."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            if self._head_timer is None and self._is_left():
                self._wait()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head may have up to {HEAD_BYTES} bytes")
        elif self._head_timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.head_begins()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Go on with the body."""
        self.head_ends()
        super().on_headers_complete()

    def head_begins(self) -> None:
        """Note that a head begins."""
        if self.cycle is not None:
            # Of a request before: what was waited for is there.
            self._wait_no_more()
        self._in_head, self._head_bytes = True, 0

    def head_ends(self) -> None:
        """Note that a head is all there."""
        self._in_head = False
        self._wait_no_more()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        body = msgspec.json.encode(
            {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        )
        told = {
            "content-type": MEDIA_TYPE,
            "content-length": len(body),
            "cache-control": "no-store",
            "connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body)
        self.transport.close()

    def _wait(self) -> None:
        self._head_timer = asyncio.get_running_loop().call_later(self.head_seconds, self._late)

    def _wait_no_more(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # The answer before has its own time; closing would cut it off.
            self._wait()
        elif self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"a head must arrive within {self.head_seconds:g} s")
        elif self.cycle is None or self._is_left():
            self.transport.close()

    def _is_left(self) -> bool:
        """Say whether this stands between two requests, and uvicorn does not close it however long it does."""
        return (
            self.cycle is not None
            and bool(self.cycle.response_complete)
            and self.timeout_keep_alive_task is None
            and self.transport.get_protocol() is self
        )
