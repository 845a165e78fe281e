"""Answers as bytes: most of each is the same every time, and is kept."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from services.asgi.middleware import SAFE_HEADERS
from services.serving.generic.calls import Headers, Reply
from services.serving.hot.entry import Entry

KEPT_BLOCKS: Final = 256
Dated = list[tuple[bytes, bytes]]


class Answers:
    """Writes answers."""

    def __init__(self) -> None:
        # By the identity of the headers, since hashing them would take longer than all the rest; they are kept with
        # what was made of them, so that no others ever stand in their place.
        self._blocks: dict[tuple[int, int], tuple[Headers, bytes]] = {}
        self._safe = _lines(SAFE_HEADERS.items())
        self._dated: Dated = []
        self._date = b""

    def written(self, entry: Entry, reply: Reply) -> bytes:
        """Return an answer as it is sent; where it is the last on its connection, the entry knows that then."""
        kept = self._blocks.get((reply.status, id(reply.headers)))
        block = self._block(reply) if kept is None else kept[1]
        dated = entry.connection.server_state.default_headers
        if dated is not self._dated:
            # uvicorn makes new ones each second.
            self._dated, self._date = dated, b"".join([b"%b: %b\r\n" % pair for pair in dated])
        body, rare = reply.body, ""
        if reply.extra or not entry.waiting.keep_alive:
            rare = _rare(entry, reply)
        identity = f"x-prediction-id: {reply.identity}\r\n" if reply.identity else ""
        own = f"x-request-id: {entry.call.request_id}\r\ncontent-length: {len(body)}\r\n{identity}{rare}\r\n"
        return b"".join((block, self._date, own.encode("latin-1"), body))

    def _block(self, reply: Reply) -> bytes:
        if len(self._blocks) >= KEPT_BLOCKS:
            self._blocks.clear()
        status = HTTPStatus(reply.status)
        block = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() + _lines(reply.headers) + self._safe
        self._blocks[reply.status, id(reply.headers)] = reply.headers, block
        return block


def _rare(entry: Entry, reply: Reply) -> str:
    """Return the headers that few answers have."""
    told, closes = "", not entry.waiting.keep_alive
    for name, value in reply.extra:
        told += f"{name.lower()}: {value}\r\n"
        if name.lower() == "connection" and value.lower() == "close":
            closes, entry.waiting.keep_alive = False, False
    return f"{told}connection: close\r\n" if closes else told


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")
