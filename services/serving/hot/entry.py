"""A hot request on its way: where it came from, and what it asks."""

from typing import Any, ClassVar, Final, Protocol

import msgspec

from services.serving.generic.calls import Call


class _Silent:
    """An event that nobody waits for."""

    def set(self) -> None:
        """Do nothing."""


SILENT: Final = _Silent()


class Waiting(msgspec.Struct, gc=False):
    """Stands where uvicorn keeps the cycle of the request that it answers, so that what follows it waits.

    Attributes:
        response_complete: Whether it was answered.
        keep_alive: Whether the connection stays open afterwards.
        disconnected: Whether the client has gone.
        message_event: What uvicorn sets when the client goes.
    """

    message_event: ClassVar[_Silent] = SILENT
    response_complete: bool = False
    keep_alive: bool = True
    disconnected: bool = False


class Connection(Protocol):
    """Where a hot request came from."""

    server_state: Any

    def answer(self, waiting: Waiting, data: bytes, now: float) -> None:
        """Send the answer to a request."""

    def hand_over(self) -> None:
        """Leave the request that is not complete to FastAPI."""

    def close_idle(self) -> None:
        """Close the connection, which nobody has used for long."""


class Entry(msgspec.Struct, gc=False):
    """A hot request: where it came from, its place there, what it asks, and its route's template for metrics."""

    connection: Connection
    waiting: Waiting
    call: Call
    route: str
