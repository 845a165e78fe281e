"""uvicorn's own protocol, but for requests to hot routes, which never become ASGI messages.

A request is hot if all about it is usual (`services.serving.hot.heads`) and nothing before it on its connection waits.
Its body is collected here, and it is answered at the end of the event loop's turn together with all others that arrived
in it. Everything else goes the way it would go without this class, and so does a hot request whose body stays away.
"""

import time
from typing import Any, ClassVar, Final

from services.asgi.protocol import BoundedProtocol
from services.serving.generic.calls import Call
from services.serving.hot.entry import Entry, Waiting
from services.serving.hot.heads import Head
from services.serving.hot.turn import Turn

POST: Final = b"POST"
END: Final = b"\r\n\r\n"
HEAD_BYTES: Final = 1024
"""Longest head that is remembered."""


class HotProtocol(BoundedProtocol):
    """A connection; made by `protocol_of`, which says whose turns it takes part in."""

    turn: ClassVar[Turn]
    cycle: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*arguments, **named)
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._began = 0.0
        # Whether the parser stands between two requests, and the head of the hot one that it has seen last.
        self._between = True
        self._upgraded = False
        self._last: Head | None = None

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that begins as one did before needs no parser."""
        self.turn.idle.pop(self, None)
        if not self._between or self._upgraded:
            super().data_received(data)
            return
        end = data.find(END, 0, HEAD_BYTES) + len(END)
        head = self.turn.known.get(data[:end])
        if head is not None and len(data) == end + head.length and self._is_idle():
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            self.cycle = Waiting()
            self._call(head, data[end:], time.perf_counter())
            return
        self._last = None
        super().data_received(data)
        last: Head | None = self._latest()
        if last is not None and self._between and len(data) == end + last.length and not last.request_id:
            self.turn.remember(data[:end], last)

    def _latest(self) -> Head | None:
        return self._last

    def on_message_begin(self) -> None:
        """Begin a request; what ASGI needs is made when it is known that ASGI will answer it."""
        self.head_begins()
        self._between = False
        self._last = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Decide which way a request goes."""
        self.head_ends()
        head = self._hot()
        if head is None:
            self._as_usual()
            return
        self._head = head
        self._pieces.clear()
        self._began = time.perf_counter()
        self.cycle = Waiting()
        self.turn.waiting[self] = self._began

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._head is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Hand a request over when all of it is here."""
        self._between = True
        head = self._head
        if head is None:
            super().on_message_complete()
            return
        self._head, self._last = None, head
        self.turn.waiting.pop(self, None)
        self._call(head, b"".join(self._pieces), self._began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._head = None
        self.turn.waiting.pop(self, None)
        self.turn.idle.pop(self, None)
        super().connection_lost(exc)

    def answer(self, waiting: Waiting, data: bytes, now: float) -> None:
        """Answer a request that waits, and let the next one have its turn."""
        # Not `self.cycle`: that is the request that came last, and others may have come behind this one meanwhile.
        waiting.response_complete = True
        if self.transport.is_closing():
            return
        self.transport.write(data)
        if not waiting.keep_alive:
            self.transport.close()
        if self.pipeline or self.flow.read_paused or self.transport.is_closing():
            self.on_response_complete()
            return
        # As uvicorn does, but the time of idle connections is looked at now and then, which costs less than a timer.
        self.server_state.total_requests += 1
        self.turn.idle[self] = now

    def close_idle(self) -> None:
        """Close the connection, which nobody has used for long."""
        if not self.transport.is_closing():
            self.transport.close()

    def _is_left(self) -> bool:
        # Of idle connections the turn keeps watch.
        return self not in self.turn.idle and super()._is_left()

    def hand_over(self) -> None:
        """Leave a request whose body stays away to FastAPI, which knows how long to wait for it."""
        if self._head is None:
            return
        self._head, body = None, b"".join(self._pieces)
        # It never was: whether the connection may stay open, and what waits behind it, is uvicorn's to say again.
        self.cycle.response_complete = True
        closing = not self.cycle.keep_alive
        self._as_usual()
        if closing:
            self.cycle.keep_alive = False
        if body:
            super().on_body(body)

    def _hot(self) -> Head | None:
        target = self.turn.heads.target(self.url)
        if target is None or self.parser.get_method() != POST or not self._is_idle():
            return None
        if self.parser.should_upgrade() or not self.parser.should_keep_alive():
            return None
        if self.parser.get_http_version() != "1.1":
            return None
        return self.turn.heads.read(target, self.headers)

    def _call(self, head: Head, body: bytes, began: float) -> None:
        target, client = head.target, self.client[0] if self.client else ""
        # In order, since names take longer.
        call = Call(
            target.kind,
            target.endpoint,
            body,
            began,
            head.request_id,
            None,
            head.header_length,
            head.subject,
            head.session,
            head.variant,
            client if head.forwarded is None else self.turn.heads.client(client, head.forwarded),
        )
        self.turn.add(Entry(self, self.cycle, call, target.route))

    def _is_idle(self) -> bool:
        if self.limit_concurrency is not None or self.flow.write_paused or self.transport.is_closing():
            return False
        return self.cycle is None or bool(self.cycle.response_complete)

    def _as_usual(self) -> None:
        self._upgraded = self._upgraded or bool(self.parser.should_upgrade())
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expect
        self.scope["headers"] = headers
        super().on_headers_complete()


def protocol_of(turn: Turn) -> type[HotProtocol]:
    """Return the class of the connections whose hot requests are answered in these turns."""
    return type("HotProtocol", (HotProtocol,), {"turn": turn})
