from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from services.asgi.guard import host_name

MASK = "/v1/mask/image"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LocalHost:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 400),
        ("localhost.evil.example:8000", 400),
        ("evil.example@localhost", 400),
        ("localhost/evil", 400),
        ("localhost:port", 400),
        ("", 400),
    ],
)
def test_only_our_own_names_are_answered(client: TestClient, host: str, status: int) -> None:
    answer = client.get("/livez", headers={"Host": host})
    assert answer.status_code == status
    if status == 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"]
        assert "evil" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://console.example"}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(
    make_client: Callable[..., Any], photo: bytes, headers: dict[str, str], status: int
) -> None:
    with make_client(server__allowed_origins="https://console.example") as client:
        answer = client.post(MASK, content=photo, headers=headers)
        assert answer.status_code == status
        if status == 403:
            assert answer.json()["type"].endswith("foreign-origin")
        # A read gives a foreign page nothing: without CORS headers it cannot look at the answer.
        read = client.get("/livez", headers=headers)
        assert read.status_code == 200
        assert "access-control-allow-origin" not in read.headers


def test_more_names_can_be_allowed(make_client: Callable[..., Any]) -> None:
    with make_client(server__allowed_hosts="127.0.0.1,masker.example") as client:
        assert client.get("/livez", headers={"Host": "masker.example"}).status_code == 200
        assert client.get("/livez", headers={"Host": "localhost"}).status_code == 400
    with make_client(server__allowed_hosts="*") as client:
        assert client.get("/livez", headers={"Host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "name"), [("a:1", "a"), ("A", "a"), ("[::1]:80", "::1"), ("[::1", None), ("a b", "a b"), ("a?b", None)]
)
def test_the_name_is_taken_out_of_the_header(host: str, name: str | None) -> None:
    assert host_name(host) == name
