"""Over real sockets: what only shows there."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from mlops.metrics import Metrics
from services.asgi import body
from services.asgi.server import server_config
from services.serving.app import serving_app
from services.serving.watcher import Source
from tests.patience import PATIENCE_SECONDS, until
from tests.services.places import settings_of

LIMIT = 1_000_000
MASK = "/v1/mask/image"


@pytest.fixture
def upload_seconds() -> float:
    return PATIENCE_SECONDS


@pytest.fixture
def port(registry: Any, rows_of: dict[str, object], upload_seconds: float) -> Iterator[int]:
    limits = {"limits__image_bytes": LIMIT, "limits__upload_seconds": upload_seconds}
    settings = settings_of(**rows_of | limits | {"server__port": 0, "serving__threads": 1})
    app = serving_app(settings, Metrics(), Source(registry.stamp, registry.split, registry.load))
    server = uvicorn.Server(server_config(app, settings.server))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        until(lambda: status_of(port) == 200)
        yield port
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_taken_is_told_in_a_line(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {**os.environ, "MASKER_SERVER__PORT": str(port), "MASKER_SERVER__HOST": host}
        command = [sys.executable, "-m", "services.control"]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"{host}:{port} cannot be used (Address already in use): set MASKER_SERVER__PORT\n"


def status_of(port: int) -> int:
    """Return how ready a server is, as an HTTP status; 0 while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


def test_an_image_is_masked(port: int, photo: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    for cache in ("miss", "hit-memory"):
        connection.request("POST", MASK, photo)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["X-Cache"]) == (200, cache)
        assert answer.headers["Server"] is None
        answer.read()
    connection.close()


def test_a_body_that_is_declared_too_large_is_not_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        line.sendall(head % MASK.encode())
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


@pytest.mark.parametrize("upload_seconds", [0.5])
def test_a_body_that_does_not_arrive_is_given_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\nslow" % MASK.encode())
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow-body" in answer


@pytest.mark.parametrize("declared", [False, True])
def test_a_sender_of_too_much_gets_to_read_why(port: int, declared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who sends may stand still for longer than the server listens on to most.
    monkeypatch.setattr(body, "LINGER_SECONDS", PATIENCE_SECONDS)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    size = LIMIT * 3 // 2
    connection.request("POST", MASK, b"x" * size if declared else (b"x" * 100_000 for _ in range(size // 100_000)))
    answer = connection.getresponse()
    assert answer.status == 413
    answer.read()
    connection.close()


def serve(**variables: str) -> subprocess.Popen[str]:
    given = {f"MASKER_{name.upper()}": value for name, value in variables.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")} | given
    command = [sys.executable, "-m", "services.serving"]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_without_a_model_and_stops_at_a_signal(
    rows_of: dict[str, object], stop: signal.Signals, closed_port: int
) -> None:
    def status() -> int:
        assert process.poll() is None
        return status_of(closed_port)

    with serve(server__port=str(closed_port), **{name: str(value) for name, value in rows_of.items()}) as process:
        assert until(status, 0.05) == 503
        process.send_signal(stop)
        _, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"serving__threds": "2"}, "did you mean MASKER_SERVING__THREADS?"),
        ({"masking__style": "mosaic"}, "masking.style"),
    ],
)
def test_a_wrong_setting_ends_it_at_once(variables: dict[str, str], told: str) -> None:
    with serve(**variables) as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert told in errors
    assert "Traceback" not in errors
