"""The same requests to both ways: status, headers and bodies must agree."""

import json
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.patience import PATIENCE_SECONDS, until

OWN = {"date", "x-request-id", "x-prediction-id", "content-length"}
ROW = [round(0.01 * place, 2) for place in range(64)]
JSON = "Content-Type: application/json"
PREDICT, INFER = "/predict", "/v2/models/demo/infer"
SOME = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", autouse=True)
def _listening_on() -> Iterator[None]:
    """Who sends too much may stand still for longer than a server listens on to most."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("services.asgi.body.LINGER_SECONDS", PATIENCE_SECONDS)
        yield


def request(path: str, body: bytes, *headers: str, method: str = "POST", host: str = "127.0.0.1") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ask(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(sent)
        return read_answer(line.makefile("rb"))


def read_answer(stream: Any) -> tuple[int, dict[str, str], bytes]:
    status = int(stream.readline().split()[1])
    headers: dict[str, str] = {}
    while (text := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = text.partition(": ")
        assert name not in headers, f"{name} twice"
        headers[name] = value
    return status, headers, stream.read(int(headers["content-length"]))


def alike(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = answer
    assert re.fullmatch("[0-9a-f]{32}", headers.get("x-prediction-id", "0" * 32))
    told = headers.get("x-prediction-id", "-").encode()
    for own in (told, headers["x-request-id"].encode()):
        body = body.replace(own, b"ID")
    return status, {name: value for name, value in headers.items() if name not in OWN}, body


def compare(both: tuple[Any, Any], sent: bytes) -> int:
    hot, usual = (alike(ask(served.port, sent)) for served in both)
    assert hot == usual
    return hot[0]


def features(rows: object) -> bytes:
    return json.dumps({"features": rows}).encode()


def tensor(**other: object) -> dict[str, Any]:
    return {"name": "features", "shape": [1, 64], "datatype": "FP32", "data": ROW} | other


def inference(*inputs: dict[str, Any], **other: object) -> bytes:
    return json.dumps({"inputs": list(inputs) or [tensor()]} | other).encode()


def binary(rows: int = 1, size: int | None = None, **other: object) -> tuple[bytes, str]:
    data = struct.pack(f"<{64 * rows}f", *(ROW * rows))
    told = tensor(shape=[rows, 64], parameters={"binary_data_size": len(data) if size is None else size})
    del told["data"]
    head = inference(told, **other)
    return head + data, f"Inference-Header-Content-Length: {len(head)}"


BINARY, BINARY_LENGTH = binary()
SHORT, SHORT_LENGTH = binary(size=8)
HUGE, HUGE_LENGTH = binary(750)
MUCH = inference()
MANY, MANY_LENGTH = binary(5, parameters={"binary_data_output": True})
TABLE = [
    (200, request(PREDICT, features([ROW]), JSON)),
    (200, request(PREDICT, features([ROW]))),
    (200, request(PREDICT, features([ROW] * 7), "content-type: application/json; charset=utf-8")),
    (200, request(PREDICT, features([ROW]), "Content-Type: application/x-www-form-urlencoded")),
    (200, request(PREDICT, features([[int(value) for value in ROW]]), JSON)),
    (200, request(PREDICT, features([ROW]), JSON, "X-Request-Id: mine.1")),
    (200, request(PREDICT, features([ROW]), JSON, "X-Request-Id: not mine")),
    (200, request(PREDICT, features([ROW]), JSON, "X-Subject-Id: somebody", "Cookie: a=b")),
    (200, request(PREDICT, features([ROW]), JSON, "X-Variant: champion")),
    (422, request(PREDICT, features([ROW]), JSON, "X-Variant: nobody")),
    (200, request("/v1/endpoints/demo/predict", features([ROW]), JSON)),
    (404, request("/v1/endpoints/other/predict", features([ROW]), JSON)),
    (404, request("/v1/endpoints/a%20b/predict", features([ROW]), JSON)),
    (422, request(PREDICT + "?x=1", features([ROW]), JSON)),
    (422, request(PREDICT, features([ROW[:63]]), JSON)),
    (422, request(PREDICT, features([ROW, ROW[:63]]), JSON)),
    (422, request(PREDICT, features([]), JSON)),
    (422, request(PREDICT, features(ROW), JSON)),
    (422, request(PREDICT, features([[*ROW[:63], None]]), JSON)),
    (422, request(PREDICT, features([[*ROW[:63], "1"]]), JSON)),
    (422, request(PREDICT, features([[*ROW[:63], True]]), JSON)),
    (422, request(PREDICT, features([[*ROW[:63], 1e300]]), JSON)),
    (422, request(PREDICT, b"{", JSON)),
    (422, request(PREDICT, b'{"feature": []}', JSON)),
    (422, request(PREDICT, b"\xff\xfe{}", JSON)),
    (422, request(PREDICT, b"[" * 5000, JSON)),
    (400, request(PREDICT, b"", JSON)),
    (413, request(PREDICT, b"x" * 200_001, JSON)),
    (413, request(PREDICT, features([ROW]) + b" " * 190_000, JSON)),
    (413, request(INFER, inference() + b" " * 190_000, JSON)),
    (413, request(INFER, MUCH + b" " * 190_000, f"Inference-Header-Content-Length: {len(MUCH) + 190_000}")),
    (200, request(INFER, HUGE, HUGE_LENGTH)),
    (200, request(PREDICT, features([ROW] * 500), JSON)),
    (400, request(PREDICT, features([ROW]), JSON, host="evil.example")),
    (400, request(PREDICT, features([ROW]), JSON, host="")),
    (400, request(PREDICT, features([ROW]), JSON, "Host: 127.0.0.1")),
    (403, request(PREDICT, features([ROW]), JSON, "Origin: http://evil.example")),
    (200, request(PREDICT, features([ROW]), JSON, "Origin: http://127.0.0.1")),
    (403, request(PREDICT, features([ROW]), JSON, "Sec-Fetch-Site: cross-site")),
    (405, request(PREDICT, b"", method="GET")),
    (405, request(INFER, b"x", method="PUT")),
    (200, request(PREDICT, features([ROW]), JSON, "Connection: close")),
    (200, request(PREDICT, features([ROW]), JSON, "Connection: keep-alive")),
    (200, request(INFER, inference(), JSON)),
    (200, request(INFER, inference(id="mine"), JSON)),
    (200, request(INFER, inference(tensor(data=[ROW])), JSON)),
    (200, request(INFER, inference(tensor(data=[ROW] * 3, shape=[3, 64])), JSON)),
    (200, request(INFER, inference(tensor(data=ROW * 3, shape=[3, 64])), JSON)),
    (200, request(INFER, inference(outputs=[{"name": "probabilities"}]), JSON)),
    (200, request(INFER, inference(outputs=[{"name": "predictions", "parameters": {"binary_data": True}}]), JSON)),
    (200, request(INFER, BINARY, BINARY_LENGTH, "Content-Type: application/octet-stream")),
    (200, request(INFER, MANY, MANY_LENGTH)),
    (400, request(INFER, SHORT, SHORT_LENGTH)),
    (400, request(INFER, BINARY[:-1], BINARY_LENGTH)),
    (400, request(INFER, BINARY + b"x", BINARY_LENGTH)),
    (400, request(INFER, BINARY, "Inference-Header-Content-Length: 99999")),
    (400, request(INFER, BINARY, "Inference-Header-Content-Length: -1")),
    (400, request(INFER, BINARY, "Inference-Header-Content-Length: many")),
    (400, request(INFER, BINARY, f"Inference-Header-Content-Length: {'9' * 5000}")),
    (400, request(INFER, inference(tensor(name="other")), JSON)),
    (400, request(INFER, inference(tensor(), tensor()), JSON)),
    (400, request(INFER, inference(tensor(datatype="FP64")), JSON)),
    (400, request(INFER, inference(tensor(shape=[2, 64])), JSON)),
    (400, request(INFER, inference(tensor(shape=[1, 63])), JSON)),
    (400, request(INFER, inference(tensor(shape=[0, 64], data=[])), JSON)),
    (400, request(INFER, inference(tensor(shape=[-1, 64])), JSON)),
    (400, request(INFER, inference(tensor(data=["a"] * 64)), JSON)),
    (400, request(INFER, inference(outputs=[{"name": "nothing"}]), JSON)),
    (400, request(INFER, b"{}", JSON)),
    (404, request("/v2/models/other/infer", inference(), JSON)),
    (200, request("/v2/models/demo/versions/3/infer", inference(), JSON)),
    (404, request("/v2/models/demo/versions/4/infer", inference(), JSON)),
]


@pytest.mark.parametrize(("status", "sent"), TABLE, ids=range(len(TABLE)))
def test_both_ways_agree(both: tuple[Any, Any], status: int, sent: bytes) -> None:
    assert compare(both, sent) == status


def test_the_hot_way_was_taken(both: tuple[Any, Any], serve_generic: Callable[..., Any], demo_root: Path) -> None:
    """Nothing would be compared if all requests went to FastAPI."""
    with serve_generic(demo_root) as hot:
        assert ask(hot.port, request(PREDICT, features([ROW]), JSON))[0] == 200
        # It is counted behind the answer.
        until(lambda: hot.turn.answered == 1)
    assert both[1].turn is None


def test_chunked_bodies_and_those_who_ask_first_go_to_fastapi(both: tuple[Any, Any]) -> None:
    body = features([ROW])
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert compare(both, request(PREDICT, chunked, JSON, "Transfer-Encoding: chunked")) == 200
    for served in both:
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE_SECONDS) as line:
            head, _, _ = request(PREDICT, body, JSON, "Expect: 100-continue").partition(b"\r\n\r\n")
            line.sendall(head + b"\r\n\r\n")
            stream = line.makefile("rb")
            assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            stream.readline()
            line.sendall(body)
            assert read_answer(stream)[0] == 200


def test_http_1_0_is_answered_and_closed(both: tuple[Any, Any]) -> None:
    sent = request(PREDICT, features([ROW]), JSON).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert compare(both, sent) == 200


VALUES = st.one_of(st.floats(width=32), st.integers(), st.none(), st.booleans(), st.text(max_size=3))
ROWS = st.one_of(
    st.lists(st.lists(st.floats(-1e3, 1e3), min_size=64, max_size=64), min_size=1, max_size=3),
    st.lists(st.lists(VALUES, min_size=60, max_size=66), max_size=3),
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4), max_leaves=12),
)


@SOME
@given(rows=ROWS, extra=st.dictionaries(st.text(max_size=4), VALUES, max_size=2))
def test_fuzzed_features_are_answered_alike(both: tuple[Any, Any], rows: object, extra: dict[str, object]) -> None:
    body = json.dumps(extra | {"features": rows}).encode()
    assert compare(both, request(PREDICT, body, JSON)) in (200, 422)


@SOME
@given(
    shape=st.one_of(st.just([1, 64]), st.lists(st.integers(-1, 70), max_size=3)),
    data=st.one_of(st.just(ROW), ROWS, st.just([ROW])),
    datatype=st.sampled_from(["FP32", "FP64", "INT64", ""]),
    size=st.one_of(st.none(), st.integers(-5, 300), st.booleans()),
    length=st.one_of(st.none(), st.integers(-2, 900)),
    identity=st.one_of(st.none(), st.text(max_size=5)),
    tail=st.binary(max_size=8),
)
def test_fuzzed_inferences_are_answered_alike(
    both: tuple[Any, Any], length: int | None, tail: bytes, **given: Any
) -> None:
    told: dict[str, Any] = tensor(shape=given["shape"], data=given["data"], datatype=given["datatype"])
    if given["size"] is not None:
        told["parameters"] = {"binary_data_size": given["size"]}
    body = inference(told, id=given["identity"]) + tail
    headers = [JSON] if length is None else [JSON, f"Inference-Header-Content-Length: {length}"]
    assert compare(both, request(INFER, body, *headers)) in (200, 400)


@SOME
@given(data=st.binary(min_size=1, max_size=300), path=st.sampled_from([PREDICT, INFER]))
def test_fuzzed_bytes_are_answered_alike(both: tuple[Any, Any], data: bytes, path: str) -> None:
    assert compare(both, request(path, data, JSON)) in (400, 422)


@SOME
@given(
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["X-Request-Id", "X-Subject-Id", "Cookie", "X-Variant", "Origin", "Accept", "Content-Type", "Host"]
            ),
            st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
        ),
        max_size=4,
    )
)
def test_fuzzed_headers_are_answered_alike(both: tuple[Any, Any], headers: list[tuple[str, str]]) -> None:
    sent = request(PREDICT, features([ROW]), *(f"{name}: {value}" for name, value in headers))
    # multipart is a form here, whatever its parts
    if not any("multipart" in value for _, value in headers):
        compare(both, sent)


def test_probabilities_are_those_of_the_model(both: tuple[Any, Any]) -> None:
    _, _, body = ask(both[0].port, request(PREDICT, features([ROW]), JSON))
    told = json.loads(body)
    model = both[0].generic.predictor.endpoints["demo"].current()
    whole, shares = model.run({"features": np.array([ROW], np.float32)})
    assert told["predictions"] == whole.tolist()
    np.testing.assert_allclose(told["probabilities"], shares, rtol=1e-6)
