import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from masking.errors import ModelError

MASK, DETECT = "/v1/mask/image", "/v1/detect/image"
TEXT = b"This is a text that somebody has named portrait.jpg, and it must not come back."
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x0c\x22\x38\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def png_of(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds no such pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def assert_nothing_comes_back(answer: bytes, sent: bytes, run: int = 12) -> None:
    for start in range(len(sent) - run + 1):
        assert sent[start : start + run] not in answer


@pytest.fixture
def bad_bodies(photo: bytes) -> dict[str, bytes]:
    return {
        "text": TEXT,
        "gif": GIF,
        "truncated jpeg": photo[: len(photo) * 2 // 3],
        "cut head": photo[:40],
        "huge png": png_of(30000, 30000),
        "long png": png_of(20000, 1),
        "hollow png": png_of(100, 100),
        "empty": b"",
        "zeros": bytes(4000),
    }


@pytest.mark.parametrize("route", [MASK, DETECT])
@pytest.mark.parametrize("form", [False, True])
@pytest.mark.parametrize(
    ("name", "status", "slug"),
    [
        ("text", 415, "unsupported-media"),
        ("gif", 415, "unsupported-media"),
        ("truncated jpeg", 422, "damaged-media"),
        ("cut head", 422, "damaged-media"),
        ("huge png", 413, "too-large"),
        ("long png", 413, "too-large"),
        ("hollow png", 422, "damaged-media"),
        ("empty", 400, "empty-body"),
        ("zeros", 415, "unsupported-media"),
    ],
)
def test_what_cannot_be_masked_is_refused(
    client: TestClient, bad_bodies: dict[str, bytes], route: str, form: bool, name: str, status: int, slug: str
) -> None:
    body = bad_bodies[name]
    answer = client.post(route, files={"file": ("x.jpg", body)}) if form else client.post(route, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:identity-masking-stack:problem:{slug}"
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert_nothing_comes_back(answer.content, body)
    assert_nothing_comes_back(str(answer.headers.raw).encode(), body)


@pytest.mark.parametrize(
    ("query", "slug", "hint"),
    [
        ("style=mosaic", "bad-policy", "solid"),
        ("style=", "bad-policy", "solid"),
        ("treshold=.5", "unknown-parameter", "did you mean threshold?"),
        ("Style=blur", "unknown-parameter", "did you mean style?"),
        ("qqq=1", "unknown-parameter", "style, threshold"),
        ("threshold=.3&threshold=.9", "unknown-parameter", "threshold is given more than once"),
        ("style=solid&style=blur", "unknown-parameter", "style is given more than once"),
        ("threshold=nan", "invalid-parameter", "query.threshold"),
        ("threshold=inf", "invalid-parameter", "query.threshold"),
        ("threshold=0.009", "invalid-parameter", "0.01"),
        ("threshold=0.991", "invalid-parameter", "0.99"),
        ("threshold=muchtoolow", "invalid-parameter", "query.threshold"),
    ],
)
def test_a_wrong_parameter_is_refused(client: TestClient, photo: bytes, query: str, slug: str, hint: str) -> None:
    answer = client.post(f"{MASK}?{query}", content=photo)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(slug)
    assert hint in answer.text
    for value in ("mosaic", "muchtoolow", "qqq", "treshold"):
        assert value not in answer.text, "what was sent is not echoed"


def test_a_style_that_the_model_does_not_have_says_what_to_do(client: TestClient, photo: bytes) -> None:
    answer = client.post(f"{MASK}?style=averages", content=photo)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("bad-policy")
    assert "train it with 20 people" in answer.json()["detail"]


def test_detect_has_no_style(client: TestClient, photo: bytes) -> None:
    assert client.post(f"{DETECT}?style=solid", content=photo).status_code == 422


def chunks(size: int, number: int, sent: list[int]) -> Iterator[bytes]:
    for _ in range(number):
        sent.append(size)
        yield b"x" * size


@pytest.mark.parametrize("limit", [5000, 100_000])
def test_too_many_bytes_are_refused_while_they_arrive(make_client: Callable[..., Any], limit: int) -> None:
    sent: list[int] = []
    with make_client(limits__image_bytes=limit) as client:
        # An iterator has no Content-Length: only counting helps.
        answer = client.post(MASK, content=chunks(1000, 1000, sent))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_too_many_bytes_in_a_form_are_refused(make_client: Callable[..., Any], photo: bytes) -> None:
    with make_client(limits__image_bytes=len(photo) - 1) as client:
        assert client.post(MASK, files={"file": ("x", photo)}).status_code == 413
        assert client.post(MASK, content=photo).status_code == 413
        assert client.post(MASK, content=photo[:-10]).status_code == 422


@pytest.mark.parametrize(
    ("error", "slug"), [(ModelError("secret"), "model-failed"), (RuntimeError("secret"), "internal")]
)
def test_a_model_that_fails_is_our_fault_and_gives_nothing_away(
    client: TestClient, photo: bytes, detector: Any, error: Exception, slug: str
) -> None:
    detector.error = error
    answer = client.post(MASK, content=photo)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith(slug)
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert_nothing_comes_back(answer.content, photo)
    detector.error = None
    assert client.post(MASK, content=photo).headers["x-cache"] == "miss", "a failure is not remembered"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/mask/image", 405),
        ("GET", "/nothing", 404),
        ("POST", "/livez", 405),
        ("GET", "/v1/mask/image/", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "about:blank"
    assert path not in answer.text
