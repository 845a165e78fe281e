import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mlops.layers import InvalidSettings
from mlops.settings import LimitSettings, load_settings
from services.asgi.middleware import Lines
from services.asgi.rates import CLIENTS, Rates

pytestmark = pytest.mark.anyio


def limits(requests: int, seconds: int = 3600, url: str = "") -> LimitSettings:
    given = {"CLIENT_REQUESTS": str(requests), "CLIENT_SECONDS": str(seconds), "CLIENT_REDIS_URL": url}
    return load_settings(environ={f"MASKER_LIMITS__{name}": value for name, value in given.items()}).limits


def allowed(rates: Rates, client: str, times: int) -> int:
    return sum(rates.wait(client) is None for _ in range(times))


@pytest.mark.parametrize(
    ("most", "asked", "answered"), [(3, 10, 3), (1000, 1000, 1000), (1000, 2000, 1019), (0, 10, 10)]
)
def test_a_client_may_ask_so_often_and_others_as_often(most: int, asked: int, answered: int) -> None:
    rates = Rates(limits(most))
    assert [allowed(rates, client, asked) for client in ("10.0.0.1", "10.0.0.2")] == [answered] * 2


def test_who_waits_as_long_as_he_is_told_is_answered() -> None:
    now = 1e9
    rates = Rates(limits(2, 60), lambda: now)
    assert allowed(rates, "10.0.0.1", 3) == 2
    wait = rates.wait("10.0.0.1")
    assert wait is not None
    assert wait > 0


def test_many_clients_take_little_room_and_who_is_refused_stays_so() -> None:
    rates = Rates(limits(3))
    assert allowed(rates, "10.0.0.1", 10) == 3
    for number in range(CLIENTS + 10):
        rates.wait(str(number))
    assert len(rates._tallies) < 100
    assert allowed(rates, "10.0.0.1", 10) == 0


async def test_without_its_redis_clients_are_counted_here() -> None:
    rates = Rates(limits(3, url="redis://127.0.0.1:1"))
    told = []
    for _ in range(10):
        told.append(rates.wait("10.0.0.1") is None)
        await asyncio.gather(*rates._settling)
    assert told.count(True) == 4, "the refusal comes behind the request that was too many"
    await rates.close()


def test_what_is_no_redis_is_told_at_start() -> None:
    with pytest.raises(InvalidSettings, match="client_redis_url"):
        Rates(limits(3, url="http://127.0.0.1"))


def test_who_asks_too_often_is_told_when_to_come_back(make_client: Callable[..., Any], metrics: Any) -> None:
    with make_client(limits__client_requests=3, limits__client_seconds=3600) as client:
        answers = [client.get("/v1/styles") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        told = answers[-1]
        assert told.json()["type"].endswith("too-many-requests")
        assert 1 <= int(told.headers["retry-after"]) <= 3600
        assert told.headers["content-type"] == "application/problem+json"
        assert client.get("/livez").status_code == client.get("/metrics").status_code == 200, "health is never refused"
        assert metrics.registry.get_sample_value("masker_shed_total", {"reason": "rate"}) == 2


def test_media_have_a_limit_of_their_own(make_client: Callable[..., Any], photo: bytes) -> None:
    with make_client(limits__client_media_requests=2, limits__client_seconds=3600) as client:
        paths = ("/v1/mask/image", "/v1/detect/image", "/v1/mask/image", "/v1/explain/image", "/v1/mask/audio")
        answers = [client.post(path, content=photo).status_code for path in paths]
        assert answers == [200, 200, 429, 429, 429]
        assert [client.get(path).status_code for path in ("/v1/styles", "/v1/endpoints")] == [200, 200]


def test_pages_of_named_origins_may_read_answers(make_client: Callable[..., Any], photo: bytes) -> None:
    origin = {"Origin": "https://console.example"}
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-subject-id,inference-header-content-length",
    }
    with make_client(server__cors_origins="https://console.example", limits__client_requests=2) as client:
        before = client.options("/v1/mask/image", headers=origin | asks)
        assert before.headers["access-control-allow-origin"] == "https://console.example"
        assert "x-subject-id" in before.headers["access-control-allow-headers"].lower()
        answer = client.post("/v1/mask/image", content=photo, headers=origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://console.example")
        for read in ("X-Faces-Masked", "Inference-Header-Content-Length"):
            assert read in answer.headers["access-control-expose-headers"], "binary tensors cannot be read without it"
        for _ in range(10):
            refused = client.post("/v1/mask/image", content=photo, headers=origin)
        assert refused.status_code == 429
        assert refused.headers["access-control-allow-origin"] == "https://console.example", "errors can be read, too"
        other = client.post("/v1/mask/image", content=photo, headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in other.headers


def test_hot_routes_are_logged_in_samples_and_errors_always() -> None:
    second = 5.0
    lines = Lines(2, lambda: second)
    assert [lines.of("/a", 200) for _ in range(5)] == [0, 0, None, None, None]
    assert lines.of("/b", 200) == 0
    assert lines.of("/a", 500) == 3
    second = 6.0
    assert lines.of("/a", 200) == 0
    assert [lines.of("/a", status) for status in (200, 200, 429)] == [0, None, 1]
