"""What one client may not do to a server before it has sent a body, over real sockets."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from services.asgi.protocol import HEAD_BYTES, BoundedProtocol
from tests.patience import PATIENCE_SECONDS, until

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
SLOW_SECONDS = 0.6


class Impatient(BoundedProtocol):
    """The same, but for tests that do not wait long."""

    head_seconds = 0.2


async def answering(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    while scope["path"] != "/early" and (await receive()).get("more_body"):
        pass
    await asyncio.sleep(SLOW_SECONDS if scope["path"] == "/slow" else 0.0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    # This loop reads what has come before it looks at its timers, however late it is; the other one does not.
    more = {"loop": "asyncio", "log_config": None, "lifespan": "off", "timeout_keep_alive": int(PATIENCE_SECONDS)}
    config = uvicorn.Config(answering, port=0, http=Impatient, **more)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_SECONDS)


def connected(port: int, sent: bytes) -> socket.socket:
    """Connect and send; again, if this machine was so busy in between that the server may have given up."""
    while True:
        began = time.monotonic()
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        client.sendall(sent)
        if time.monotonic() - began < Impatient.head_seconds / 2:
            return client
        client.close()


def told(port: int, *pieces: bytes) -> bytes:
    """Send pieces, a moment apart, and return all that comes until the server closes."""
    with connected(port, pieces[0]) as client:
        for piece in pieces[1:]:
            time.sleep(0.02)
            client.sendall(piece)
        return client.makefile("rb").read()


def is_answered(stream: Any) -> bool:
    """Read one answer, and say whether it is what was asked for."""
    status = stream.readline()
    while stream.readline().strip():
        pass
    return bool(status.startswith(b"HTTP/1.1 200 OK") and stream.read(2) == b"ok")


def slowly(client: socket.socket, much: bytes) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        for at in range(0, len(much), HEAD_BYTES // 2):
            client.sendall(much[at : at + HEAD_BYTES // 2])
            time.sleep(0.005)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: he", b"GET /" + b"x" * 10])
def test_a_connection_without_a_whole_head_is_closed(port: int, sent: bytes) -> None:
    received = told(port, sent)
    assert bool(sent) == received.startswith(b"HTTP/1.1 408 ")


def test_half_a_head_behind_an_answered_request_is_closed_too(port: int) -> None:
    received = told(port, REQUEST, REQUEST[:10])
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 408 " in received


def test_half_a_head_behind_a_request_that_takes_long_does_not_cut_its_answer_off(port: int) -> None:
    received = told(port, REQUEST.replace(b"/ ", b"/slow ") + REQUEST[:10])
    assert received.startswith(b"HTTP/1.1 200 OK")


def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    with connected(port, head) as client:
        time.sleep(2 * Impatient.head_seconds)
        client.sendall(b"body")
        assert is_answered(client.makefile("rb"))


def test_an_idle_connection_stays_open_for_the_next_request(port: int) -> None:
    with connected(port, REQUEST) as client:
        stream = client.makefile("rb")
        assert is_answered(stream)
        time.sleep(2 * Impatient.head_seconds)
        client.sendall(REQUEST)
        assert is_answered(stream)


def test_a_body_that_was_answered_before_it_was_there_does_not_hold_the_connection(port: int) -> None:
    with connected(port, b"POST /early HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n") as client:
        stream = client.makefile("rb")
        assert is_answered(stream)
        client.sendall(b"some")
        assert stream.read() == b""


def test_who_sends_the_rest_of_a_body_after_its_answer_may_ask_again(port: int) -> None:
    with connected(port, b"POST /early HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n") as client:
        stream = client.makefile("rb")
        assert is_answered(stream)
        client.sendall(b"the rest." + REQUEST)
        assert is_answered(stream)


@pytest.mark.parametrize("much", [b"X-Much: " + b"x" * 2_000_000, b"X-Much: x\r\n" * 200_000])
def test_a_head_that_is_too_long_is_refused(port: int, much: bytes) -> None:
    with connected(port, REQUEST[:-2]) as client, pytest.raises(ConnectionError):
        slowly(client, much)


def test_what_is_no_http_is_told_as_a_problem(port: int) -> None:
    received = told(
        port, b"GET / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400
