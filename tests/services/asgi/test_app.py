import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlops.logging import configure_logging
from mlops.settings import LoggingSettings
from services.asgi.problems import TABLE, row_of

MASK = "/v1/mask/image"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Those that are there would be closed for good.
    root.handlers.clear()
    stream = io.StringIO()
    configure_logging(LoggingSettings(level="INFO", format="json", access_lines=10), stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_process_says_that_it_runs(client: TestClient) -> None:
    assert client.get("/livez").json() == {"alive": True}


@pytest.mark.parametrize("path", ["/livez", "/nothing", "/docs", "/metrics"])
def test_a_sane_request_id_comes_back(client: TestClient, path: str) -> None:
    assert client.get(path, headers={"X-Request-Id": "job-7.part_1"}).headers["x-request-id"] == "job-7.part_1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "a\\nb", "é"])
def test_another_request_id_is_replaced(client: TestClient, given: str) -> None:
    answer = client.get("/livez", headers={"X-Request-Id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_every_answer_has_safe_headers(client: TestClient) -> None:
    for path in ("/livez", "/nothing", "/docs", "/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_docs_load_nothing_from_other_hosts(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"https?:|[\"'(]//", page.text)
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(links) == 3
    for link in links:
        assert client.get(link).status_code == 200
    assert client.get("/docs/static/%2e%2e/core.py").status_code == 404


def test_a_request_is_one_log_line_that_names_neither_file_nor_query(
    client: TestClient, photo: bytes, lines: io.StringIO
) -> None:
    client.post(
        f"{MASK}?style=blur", files={"file": ("holiday.jpg", photo)}, headers={"X-Request-Id": "my-id"}
    ).raise_for_status()
    client.post(f"{MASK}?name=holiday", content=photo)
    client.get("/media/holiday.jpg")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    accesses = [line for line in told if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in accesses] == [(MASK, 200), (MASK, 422), ("none", 404)]
    assert accesses[0]["request_id"] == "my-id"
    assert accesses[0]["method"] == "POST"
    assert accesses[0]["seconds"] > 0
    assert "holiday" not in lines.getvalue()


def test_an_unexpected_error_is_logged_by_where_not_by_what(
    client: TestClient, photo: bytes, detector: Any, lines: io.StringIO
) -> None:
    detector.error = RuntimeError("cannot read holiday.jpg")
    client.post(MASK, content=photo, headers={"X-Request-Id": "my-id"})
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    # Others of this process may have something to tell at the same time.
    [failure] = [line for line in told if line["level"] == "ERROR" and line.get("request_id") == "my-id"]
    assert failure["error"] == "RuntimeError"
    assert any("pipeline.py" in frame for frame in failure["frames"])
    assert "holiday" not in lines.getvalue()


def test_the_openapi_document_is_one_and_whole(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    jobs = {"/v1/jobs", "/v1/jobs/{identity}", "/v1/jobs/{identity}/result", "/v1/jobs/{identity}/report"}
    taking = {MASK, "/v1/detect/image", "/v1/mask/video", "/v1/mask/audio", "/v1/styles"}
    assert set(document["paths"]) >= {"/livez", "/readyz", "/metrics"} | taking | jobs
    for path in (MASK, "/v1/detect/image"):
        operation = document["paths"][path]["post"]
        assert set(operation["requestBody"]["content"]) == {
            "image/jpeg",
            "image/png",
            "image/webp",
            "application/octet-stream",
            "multipart/form-data",
        }
        problems = {status for status in operation["responses"] if status != "200"}
        assert problems == {"400", "403", "408", "413", "415", "422", "429", "500", "503", "504"}
        for status in problems:
            assert set(operation["responses"][status]["content"]) == {"application/problem+json"}
    assert set(document["paths"][MASK]["post"]["responses"]["200"]["content"]) == {
        "image/jpeg",
        "image/png",
        "image/webp",
    }
    assert "Problem" in document["components"]["schemas"]


def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


@pytest.mark.parametrize("family", ["masking.errors.MaskingError", "services.asgi.errors.RequestError"])
def test_every_error_of_ours_has_a_row_of_its_own(family: str) -> None:
    module, name = family.rsplit(".", 1)
    root: type[Exception] = getattr(__import__(module, fromlist=[name]), name)
    leaves = [kind for kind in descendants(root) if not kind.__subclasses__()]
    assert [kind.__name__ for kind in leaves if kind not in TABLE] == []


def test_an_error_without_a_row_is_ours_and_tells_nothing() -> None:
    assert row_of(KeyError("secret")).status == 500
    assert not row_of(KeyError("secret")).tells


def test_two_apps_live_in_one_process(make_client: Callable[..., Any], photo: bytes) -> None:
    with make_client() as one, make_client() as other:
        assert one.post(MASK, content=photo).headers["x-cache"] == "miss"
        assert other.post(MASK, content=photo).headers["x-cache"] == "miss"
