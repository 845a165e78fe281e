"""Over real sockets: what only shows there."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mlops.metrics import Metrics
from mlops.settings import load_settings
from services.asgi.server import server_config
from services.serving.app import serving_app
from services.serving.watcher import Source

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 1_000_000
MASK = "/v1/mask/image"


@pytest.fixture
def port(registry: Any, rows_of: dict[str, object]) -> Iterator[int]:
    settings = load_settings(
        environ={
            "MASKER_SERVER__PORT": "0",
            "MASKER_SERVING__THREADS": "1",
            "MASKER_LIMITS__IMAGE_BYTES": str(LIMIT),
            "MASKER_LIMITS__UPLOAD_SECONDS": "0.5",
            "MASKER_REGISTRY__TRAFFIC_SECONDS": "0.02",
        }
        | {f"MASKER_{name.upper()}": str(value) for name, value in rows_of.items()}
    )
    app = serving_app(settings, Metrics(), Source(registry.stamp, registry.split, registry.load))
    server = uvicorn.Server(server_config(app, settings.server))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started or not registry.loads:
        time.sleep(0.005)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


def test_an_image_is_masked(port: int, photo: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for cache in ("miss", "hit-memory"):
        connection.request("POST", MASK, photo)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["X-Cache"]) == (200, cache)
        assert answer.headers["Server"] is None
        answer.read()
    connection.close()


def test_a_body_that_is_declared_too_large_is_not_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
        line.sendall(head % MASK.encode())
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer


def test_a_body_that_does_not_arrive_is_given_up(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\nslow" % MASK.encode())
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow-body" in answer


@pytest.mark.parametrize("declared", [False, True])
def test_a_sender_of_too_much_gets_to_read_why(port: int, declared: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    size = LIMIT * 3 // 2
    connection.request("POST", MASK, b"x" * size if declared else (b"x" * 100_000 for _ in range(size // 100_000)))
    answer = connection.getresponse()
    assert answer.status == 413
    answer.read()
    connection.close()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
        return number


def serve(**variables: str) -> subprocess.Popen[str]:
    given = {f"MASKER_{name.upper()}": value for name, value in variables.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASKER_")} | given
    command = [sys.executable, "-m", "services.serving"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_without_a_model_and_stops_at_a_signal(rows_of: dict[str, object], stop: signal.Signals) -> None:
    number = free_port()
    with serve(server__port=str(number), **{name: str(value) for name, value in rows_of.items()}) as process:
        for _ in range(400):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", number, timeout=5)
                connection.request("GET", "/readyz")
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert connection.getresponse().status == 503
        connection.close()
        start = time.perf_counter()
        process.send_signal(stop)
        _, told = process.communicate(timeout=10)
    assert time.perf_counter() - start < 10
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
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told in errors
    assert "Traceback" not in errors
