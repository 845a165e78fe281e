"""Requests that picked their variant: nobody drew them, so no release is judged by them."""

from collections.abc import Callable
from typing import Any

from starlette.testclient import TestClient

from tests.patience import until

MASK, NEW = "/v1/mask/image", {"Cache-Control": "no-store"}


def test_a_request_that_picks_is_no_part_of_a_release_and_neither_is_its_copy(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any]
) -> None:
    registry.put_beside("2", 0.0, shadow=True)
    until(lambda: client.get("/readyz").json().get("challenger_version") == "2")
    client._transport.client = ("127.0.0.1", 5000)
    assert client.post(MASK, content=photo, headers=NEW | {"X-Variant": "champion"}).status_code == 200
    rows = predictions(2)
    assert {(row["shadow"], row["variant"]) for row in rows} == {(False, "champion"), (True, "challenger")}
    assert {(row["release"], row["counts"].get("picked")) for row in rows} == {("", 1.0)}
