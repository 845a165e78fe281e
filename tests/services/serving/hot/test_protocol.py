"""Connections as they come: many requests in one packet, one in many, bodies that stay away, clients that go."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.generic.cost import Cost
from mlops.rollout.traffic import Split
from services.asgi.protocol import BoundedProtocol
from tests.patience import PATIENCE_SECONDS, until

ROW = [round(0.01 * place, 2) for place in range(64)]


@dataclass
class Gated:
    """A session that computes nothing before its gate opens."""

    session: Any
    began: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def run(self, names: Any, inputs: Any) -> Any:
        self.began.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        return self.session.run(names, inputs)


def predict(row: list[float] | None = None, *headers: str, path: str = "/predict") -> bytes:
    body = json.dumps({"features": [ROW if row is None else row]}).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def shifted(place: int) -> list[float]:
    return [value + place for value in ROW]


@pytest.fixture
def line(both: tuple[Any, Any]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) as connection:
        yield connection


def read(stream: Any) -> tuple[int, dict[str, str], Any]:
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (text := stream.readline().decode().strip()) != "":
        name, _, value = text.partition(": ")
        headers[name] = value
    body = stream.read(int(headers["content-length"]))
    return status, headers, json.loads(body) if "json" in headers["content-type"] else body


def expected(both: tuple[Any, Any], row: list[float]) -> list[float]:
    model = both[0].generic.predictor.endpoints["demo"].current()
    return model.run({"features": np.array([row], np.float32)})[1][0].tolist()


def test_a_connection_is_used_again(both: tuple[Any, Any], line: socket.socket) -> None:
    stream = line.makefile("rb")
    for place in range(5):
        line.sendall(predict(shifted(place)))
        status, _, told = read(stream)
        assert status == 200
        np.testing.assert_allclose(told["probabilities"][0], expected(both, shifted(place)), rtol=1e-4)


def test_requests_in_one_packet_are_answered_in_order(both: tuple[Any, Any], line: socket.socket) -> None:
    line.sendall(
        b"".join(predict(shifted(place)) for place in range(6)) + b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    )
    stream = line.makefile("rb")
    for place in range(6):
        status, _, told = read(stream)
        assert status == 200
        np.testing.assert_allclose(told["probabilities"][0], expected(both, shifted(place)), rtol=1e-4)
    assert read(stream)[2] == {"alive": True}


def test_hot_and_usual_requests_in_one_packet_are_answered_in_order(line: socket.socket) -> None:
    live = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    line.sendall(live + predict() + live + predict())
    stream = line.makefile("rb")
    assert ["alive" in read(stream)[2] for _ in range(4)] == [True, False, True, False]


@pytest.mark.parametrize("warm", [False, True])
def test_a_request_may_come_byte_by_byte(line: socket.socket, warm: bool) -> None:
    stream = line.makefile("rb")
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if warm:
        line.sendall(predict())
        assert read(stream)[0] == 200
    sent = predict()
    for start in range(0, len(sent), 40):
        line.sendall(sent[start : start + 40])
        time.sleep(0.0005)
    assert read(stream)[0] == 200
    # What comes after is read from where it begins.
    line.sendall(predict())
    assert read(stream)[0] == 200


def test_a_known_head_is_not_taken_for_another_that_begins_like_it(line: socket.socket) -> None:
    stream = line.makefile("rb")
    for _ in range(2):
        line.sendall(predict())
        assert read(stream)[0] == 200
    # The same head with another body behind it, and with part of the next request.
    line.sendall(predict()[:-1] + b"x" + predict()[:30])
    assert read(stream)[0] == 422
    line.sendall(predict()[30:])
    assert read(stream)[0] == 200


def test_what_is_no_http_is_refused(line: socket.socket) -> None:
    line.sendall(predict())
    stream = line.makefile("rb")
    assert read(stream)[0] == 200
    line.sendall(b"nonsense\r\n\r\n")
    assert stream.readline().startswith(b"HTTP/1.1 400")


def test_a_body_that_stays_away_is_fastapis_to_wait_for(serve_generic: Callable[..., Any], demo_root: Path) -> None:
    with (
        serve_generic(demo_root, limits__upload_seconds=0.3) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line,
    ):
        line.sendall(predict()[:-5])
        status, headers, told = read(line.makefile("rb"))
        assert (status, headers["connection"]) == (408, "close")
        assert told["type"].endswith("slow-body")
        assert not served.turn.waiting


def test_a_late_body_is_answered(line: socket.socket) -> None:
    sent = predict()
    line.sendall(sent[:-5])
    time.sleep(1.0)
    line.sendall(sent[-5:])
    assert read(line.makefile("rb"))[0] == 200


def test_a_client_that_goes_leaves_nothing_behind(both: tuple[Any, Any]) -> None:
    turn = both[0].turn
    for sent in (predict()[:-5], predict()):
        with socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) as line:
            line.sendall(sent)
    # Who comes later is answered when those before him were read.
    with socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(predict())
        assert read(line.makefile("rb"))[0] == 200
    until(lambda: not turn.waiting and not turn.idle)


def test_an_idle_connection_is_closed(serve_generic: Callable[..., Any], demo_root: Path) -> None:
    with (
        serve_generic(demo_root, server__keep_alive_seconds=1) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line,
    ):
        began = time.perf_counter()
        line.sendall(predict())
        stream = line.makefile("rb")
        assert read(stream)[0] == 200
        assert stream.read() == b""
        assert time.perf_counter() - began > 0.9


def test_a_connection_whose_head_was_known_stays_open_while_it_is_idle(
    serve_generic: Callable[..., Any], demo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No parser sees its head, so nothing but the answer says that the head was there in time."""
    monkeypatch.setattr(BoundedProtocol, "head_seconds", 0.5)
    with serve_generic(demo_root) as served:

        def is_known() -> bool:
            """Ask twice, longer apart than a head may take; no where this machine was too slow to ask at all."""
            with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line:
                stream, told = line.makefile("rb"), b""
                with suppress(ConnectionError):
                    line.sendall(predict())
                    told = stream.peek(1)
                if not told:
                    return False
                assert read(stream)[0] == 200
                time.sleep(2 * BoundedProtocol.head_seconds)
                line.sendall(predict())
                assert read(stream)[0] == 200
                return True

        assert [until(is_known), until(is_known)] == [True, True]


def test_requests_of_one_turn_share_a_run(both: tuple[Any, Any]) -> None:
    """More requests than runs; each gets what it would get alone."""
    lines = [socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) for _ in range(24)]
    endpoint = both[0].generic.predictor.endpoints["demo"]
    before = endpoint.champion()
    runs: list[int] = []

    class Counting:
        def run(self, names: Any, inputs: Any) -> Any:
            runs.append(len(inputs["features"]))
            return before.model.session.run(names, inputs)

    model = replace(before.model, session=Counting(), cost=Cost(1e-5, 1e-6, batches=True))
    endpoint.swap(before.split, {"champion": model})
    try:
        for place, connection in enumerate(lines):
            connection.sendall(predict(shifted(place)))
        for place, connection in enumerate(lines):
            status, _, told = read(connection.makefile("rb"))
            assert status == 200
            np.testing.assert_allclose(told["probabilities"][0], expected(both, shifted(place)), rtol=1e-4)
    finally:
        endpoint.swap(before.split, {"champion": before.model})
        for connection in lines:
            connection.close()
    assert sum(runs) >= len(lines)


def test_a_costly_model_runs_in_a_thread_and_the_loop_goes_on(both: tuple[Any, Any]) -> None:
    endpoint = both[0].generic.predictor.endpoints["demo"]
    before = endpoint.champion()
    gated = Gated(before.model.session)
    endpoint.swap(before.split, {"champion": replace(before.model, session=gated, cost=Cost(0.3, 0.0, batches=False))})
    try:
        with (
            socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) as slow,
            socket.create_connection(("127.0.0.1", both[0].port), timeout=PATIENCE_SECONDS) as quick,
        ):
            # The second stands behind the first on its connection, and must not overtake it.
            slow.sendall(predict() + b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert gated.began.wait(PATIENCE_SECONDS)
            quick.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert read(quick.makefile("rb"))[2] == {"alive": True}
            gated.gate.set()
            stream = slow.makefile("rb")
            assert "predictions" in read(stream)[2]
            assert read(stream)[2] == {"alive": True}
    finally:
        gated.gate.set()
        endpoint.swap(before.split, {"champion": before.model})


def test_a_stop_lets_a_running_request_end(serve_generic: Callable[..., Any], demo_root: Path) -> None:
    with serve_generic(demo_root, server__graceful_seconds=int(PATIENCE_SECONDS)) as served:
        endpoint = served.generic.predictor.endpoints["demo"]
        before = endpoint.champion()
        gated = Gated(before.model.session)
        split: Split = before.split
        endpoint.swap(split, {"champion": replace(before.model, session=gated, cost=Cost(0.4, 0.0, batches=False))})
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line:
            line.sendall(predict())
            assert gated.began.wait(PATIENCE_SECONDS)
            served.server.should_exit = True
            until(lambda: not served.server.servers[0].is_serving())
            gated.gate.set()
            stream = line.makefile("rb")
            status, headers, _ = read(stream)
            assert (status, headers["connection"]) == (200, "close")
            assert stream.read() == b""


def test_each_answer_is_counted_and_has_a_row(serve_generic: Callable[..., Any], demo_root: Path) -> None:
    with (
        serve_generic(demo_root) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line,
    ):
        stream = line.makefile("rb")
        for headers in ((), ("X-Subject-Id: somebody",)):
            line.sendall(predict(None, *headers))
            _, told, _ = read(stream)
        rows = list(served.rows.kept)
        value = served.metrics.registry.get_sample_value
        labels = {"route": "/predict", "method": "POST", "status": "200"}
        # They are counted behind the answer.
        until(lambda: value("masker_requests_total", labels) == 2)
        until(lambda: value("masker_request_seconds_count", {"route": "/predict"}) == 2)
    assert [(row.endpoint, row.version, row.variant, row.outcome, row.status) for row in rows] == [
        ("demo", "3", "champion", "ok", 200)
    ] * 2
    assert [row.subject for row in rows] == ["", "somebody"]
    assert rows[1].identity == told["x-prediction-id"]
    assert rows[0].counts == {"rows": 1.0}


def test_more_than_can_be_answered_in_time_is_refused(serve_generic: Callable[..., Any], demo_root: Path) -> None:
    with serve_generic(demo_root, serving__predict_seconds=0.0001) as served:
        # Each request has cost a second so far: of those that arrive together one is answered.
        served.turn._request_seconds = 1.0
        lines = [socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) for _ in range(40)]
        for connection in lines:
            connection.sendall(predict())
        answers = [read(connection.makefile("rb")) for connection in lines]
        for connection in lines:
            connection.close()
        statuses = {status for status, _, _ in answers}
        assert statuses <= {200, 503}
        assert 200 in statuses
        assert all("retry-after" in headers for status, headers, _ in answers if status == 503)


@pytest.mark.parametrize("hot", [True, False])
@pytest.mark.parametrize("path", ["/predict", "/v2/models/demo/infer"])
def test_clients_that_send_too_much_are_told_when_to_come_back(
    serve_generic: Callable[..., Any], demo_root: Path, hot: bool, path: str
) -> None:
    limits = {"limits__client_requests": 50, "limits__client_seconds": 3600}
    with (
        serve_generic(demo_root, hot, **limits) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line,
    ):
        stream = line.makefile("rb")
        answers = []
        for _ in range(70):
            line.sendall(predict(path=path))
            answers.append(read(stream))
    assert answers[0][0] in (200, 400)
    status, headers, told = answers[-1]
    assert status == 429
    assert int(headers["retry-after"]) >= 1
    assert told["type"].endswith("too-many-requests")
    assert told["request_id"] == headers["x-request-id"]
    assert "x-prediction-id" not in headers
    assert len(served.rows.kept) == sum(answer[0] != 429 for answer in answers)


@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.1", 403), ("10.0.0.1", 200)])
@pytest.mark.parametrize("hot", [True, False])
def test_the_client_is_whom_a_trusted_proxy_names(
    serve_generic: Callable[..., Any], demo_root: Path, proxies: str, status: int, hot: bool
) -> None:
    """Who may pick a variant goes by the client's address: the proxy's may, the client's behind it may not."""
    with (
        serve_generic(demo_root, hot, server__trusted_proxies=proxies) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line,
    ):
        line.sendall(predict(None, "X-Forwarded-For: 9.8.7.6", "X-Variant: champion"))
        assert read(line.makefile("rb"))[0] == status
