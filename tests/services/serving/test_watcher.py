import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from masking.errors import ModelError
from mlops.metrics import Metrics
from tests.patience import PATIENCE_SECONDS, until_true

MASK = "/v1/mask/image"
NEW = {"Cache-Control": "no-store"}
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _faces_alone(voices: Any) -> None:
    voices.version = None


def swaps(metrics: Metrics, outcome: str) -> float:
    return metrics.registry.get_sample_value("masker_model_swaps_total", {"outcome": outcome}) or 0


async def test_it_serves_as_soon_as_there_is_a_model(
    make_async_client: Callable[..., Any], photo: bytes, registry: Any, metrics: Metrics
) -> None:
    registry.version = None
    async with make_async_client() as client:
        for answer in (await client.get("/readyz"), await client.post(MASK, content=photo)):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["type"].endswith("not-ready")
        assert metrics.registry.get_sample_value("masker_ready") == 0
        registry.version = "1"

        async def ready() -> bool:
            return bool((await client.get("/readyz")).status_code == 200)

        await until_true(ready)
        told = (await client.get("/readyz")).json()
        assert told == {
            "ready": True,
            "model": "face-detector",
            "version": "1",
            "precision": "fp32",
            "bundle": "0" * 64,
        }
        assert (await client.post(MASK, content=photo)).status_code == 200


async def test_a_new_champion_is_swapped_in_under_load_without_a_failed_request(
    make_async_client: Callable[..., Any], photo: bytes, registry: Any, metrics: Metrics
) -> None:
    versions, statuses = [], []
    async with make_async_client() as client:

        async def ask() -> None:
            while len(set(versions)) < 4:
                answer = await client.post(MASK, content=photo, headers=NEW)
                statuses.append(answer.status_code)
                versions.append(answer.headers["x-model-version"])

        async def answered() -> bool:
            return registry.version in versions

        async def publish() -> None:
            for version in ("2", "3", "4"):
                await until_true(answered)
                registry.version = version

        await asyncio.wait_for(asyncio.gather(publish(), *(ask() for _ in range(3))), PATIENCE_SECONDS)
        shown = (await client.get("/metrics")).text
    assert set(statuses) == {200}
    assert set(versions) == {"1", "2", "3", "4"}
    assert swaps(metrics, "swapped") == 4
    assert 'masker_model_info{model="face-detector",precision="fp32",version="4"} 1.0' in shown
    assert 'version="3"' not in shown


async def test_a_new_champion_answers_what_the_old_one_had_answered(
    make_async_client: Callable[..., Any], photo: bytes, registry: Any
) -> None:
    async with make_async_client() as client:
        await client.post(MASK, content=photo)
        registry.version = "2"

        async def swapped() -> bool:
            return bool((await client.get("/readyz")).json()["version"] == "2")

        await until_true(swapped)
        assert (await client.post(MASK, content=photo)).headers["x-cache"] == "miss"


async def test_a_model_that_cannot_be_loaded_leaves_the_old_one_and_is_tried_again(
    make_async_client: Callable[..., Any], photo: bytes, registry: Any, metrics: Metrics
) -> None:
    async with make_async_client(serving__reload_retry_seconds=0.05) as client:
        registry.error = ModelError("its golden test fails")
        registry.version = "2"

        async def failed_twice() -> bool:
            return swaps(metrics, "failed") >= 2

        await until_true(failed_twice)
        answer = await client.post(MASK, content=photo)
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1")
        registry.error = None

        async def recovered() -> bool:
            return bool((await client.get("/readyz")).json()["version"] == "2")

        await until_true(recovered)
        loads, looked = registry.loads, registry.looks
        await until_true(lambda: registry.looks > looked + 3)
        assert registry.loads == loads, "what is loaded is not loaded again"


@pytest.mark.parametrize("fault", [None, PermissionError("champion.json")])
async def test_a_pointer_that_has_gone_changes_nothing(
    make_async_client: Callable[..., Any],
    photo: bytes,
    registry: Any,
    fault: Exception | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with make_async_client() as client:
        looked = registry.looks
        registry.version, registry.stamp_error = None, fault
        await until_true(lambda: registry.looks > looked + 3)
        assert (await client.post(MASK, content=photo)).status_code == 200
        said = [text for text in caplog.messages if "cannot be read" in text]
        assert len(said) == (fault is not None), "what lasts is told once"
        registry.version, registry.stamp_error = "2", None

        async def swapped() -> bool:
            return bool((await client.get("/readyz")).json()["version"] == "2")

        await until_true(swapped)


async def test_models_of_faces_and_of_voices_come_and_go_by_themselves(
    make_async_client: Callable[..., Any], photo: bytes, voices: Any, metrics: Metrics
) -> None:
    async with make_async_client() as client:
        faces = (await client.get("/readyz")).json()
        assert "voice_model" not in faces
        voices.version = "5"

        async def both() -> bool:
            return bool((await client.get("/readyz")).json().get("voice_version") == "5")

        await until_true(both)
        told = (await client.get("/readyz")).json()
        digest = told.pop("voice_bundle")
        assert len(digest) == 64
        assert told == faces | {"voice_model": "voice-masker", "voice_version": "5", "voice_precision": "fp32"}
        before = swaps(metrics, "failed")
        voices.load_error = ModelError("its golden test fails")
        voices.version = "6"

        async def failed() -> bool:
            return swaps(metrics, "failed") > before

        await until_true(failed)
        assert (await client.get("/readyz")).json()["voice_version"] == "5", "the old one goes on"
        assert (await client.post(MASK, content=photo)).status_code == 200
