"""Sound that gets an error in place of an answer, and leaves nothing behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from tests.patience import until, until_true
from tests.services.serving.audio.sounds import POST, Sound, left, silence, slug


@pytest.mark.parametrize(
    ("make", "status", "problem"),
    [
        (lambda sound: b"", 400, "empty-body"),
        (lambda sound: b"only words " * 500, 415, "unsupported-media"),
        (lambda sound: b"RIFF\x24\x00\x00\x00WAVE", 422, "damaged-media"),
        (lambda sound: sound(rate=96000), 415, "unsupported-media"),
        (lambda sound: silence(0), 400, "empty-body"),
        (lambda sound: sound("mp3", "libmp3lame", rate=48000)[:40], None, None),
    ],
    ids=["empty", "text", "no-samples", "96-khz", "zero-samples", "mp3-head"],
)
def test_what_cannot_be_masked_is_told_and_not_kept(
    client: TestClient,
    sound: Sound,
    spool: Path,
    make: Callable[[Any], bytes],
    status: int | None,
    problem: str | None,
) -> None:
    body = make(sound)
    answer = client.post(POST, content=body)
    if status is None:
        assert answer.status_code in (415, 422)
    else:
        assert (answer.status_code, slug(answer)) == (status, problem), answer.text
    assert b"words" not in answer.content
    assert left(spool) == []
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_ten_hours_are_refused_by_their_header(client: TestClient, sound: Sound, spool: Path) -> None:
    # What a FLAC states of its length stands in its head, whether or not the samples follow.
    flac = bytearray(sound("flac", "flac"))
    assert flac[4] & 0x7F == 0, "the first block is STREAMINFO"
    total = 10 * 3600 * 16000
    flac[21] = (flac[21] & 0xF0) | total >> 32
    flac[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    answer = client.post(POST, content=bytes(flac))
    assert (answer.status_code, slug(answer)) == (413, "too-large")
    assert left(spool) == []


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"style": "nonsense"}, "bad-policy"),
        ({"background": "nonsense"}, "bad-policy"),
        ({"consistent": "nonsense"}, "invalid-parameter"),
        ({"sytle": "strong"}, "unknown-parameter"),
        ({"threshold": ".2"}, "unknown-parameter"),
        ({"style": ["strong", "disguise"]}, "unknown-parameter"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    client: TestClient, sound: Sound, parameters: dict[str, Any], problem: str
) -> None:
    answer = client.post(POST, content=sound(), params=parameters)
    assert (answer.status_code, slug(answer)) == (422, problem)


def test_without_a_voice_model_sound_is_refused_and_photos_are_masked(
    make_served: Callable[..., Any], sound: Sound, voices: Any, photo: bytes, spool: Path
) -> None:
    voices.version = None
    with make_served() as client:
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (503, "not-ready")
        assert "voice model" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.post("/v1/mask/image", content=photo).status_code == 200
        assert "voice_model" not in client.get("/readyz").json()
        voices.version = "3"
        until(lambda: client.get("/readyz").json().get("voice_version") == "3")
        assert client.post(POST, content=sound()).headers["x-model-version"] == "3"
        shown = client.get("/metrics").text
    assert 'masker_model_info{model="voice-masker",precision="fp32",version="3"} 1.0' in shown
    assert 'masker_model_info{model="face-detector",precision="fp32",version="1"} 1.0' in shown
    assert left(spool) == []


def test_a_model_that_fails_gives_an_error_and_no_sound(
    client: TestClient, sound: Sound, voices: Any, spool: Path
) -> None:
    voices.error = RuntimeError("of the graph")
    answer = client.post(POST, content=sound())
    assert (answer.status_code, slug(answer)) == (500, "model-failed")
    assert b"of the graph" not in answer.content
    assert left(spool) == []


@pytest.mark.parametrize(
    "more", [{"limits__audio_bytes": 5000}, {"limits__audio_seconds": 1, "limits__audio_sync_seconds": 1}]
)
def test_what_is_too_large_is_refused_and_not_kept(
    make_served: Callable[..., Any], sound: Sound, spool: Path, more: dict[str, object]
) -> None:
    with make_served(**more) as client:
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (413, "too-large")
    assert left(spool) == []


def test_a_disk_without_room_is_a_507(make_served: Callable[..., Any], sound: Sound, spool: Path) -> None:
    with make_served(jobs__reserve_bytes=1 << 60) as client:
        answer = client.post(POST, content=sound())
    assert (answer.status_code, slug(answer)) == (507, "storage-full")
    assert left(spool) == []


def test_past_the_deadline_it_is_a_504_and_nothing_is_kept(
    make_served: Callable[..., Any], sound: Sound, voices: Any, spool: Path
) -> None:
    with make_served(serving__deadline_seconds=0.5, serving__queue_seconds=0.4) as client:
        voices.gate.clear()
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (504, "deadline-exceeded")
        voices.gate.set()
    assert left(spool) == []


@pytest.mark.anyio
async def test_what_late_work_writes_while_its_folder_goes_is_not_kept(
    make_async_client: Callable[..., Any], sound: Sound, voices: Any, spool: Path
) -> None:
    async with make_async_client(jobs__spool_path=spool, jobs__reserve_bytes=0) as client:
        voices.gate.clear()
        asking = asyncio.create_task(client.post(POST, content=sound()))
        await until_true(voices.asked.is_set)
        (identity,) = left(spool)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert left(spool) == []
        (spool / identity).mkdir()
        (spool / identity / "masked").write_bytes(b"late")
        voices.gate.set()
    assert left(spool) == []


def test_a_mutated_file_is_masked_or_refused(client: TestClient, sound: Sound, spool: Path) -> None:
    whole, rng = sound(), np.random.default_rng(3)
    for _ in range(25):
        body = bytearray(whole)
        for at in rng.integers(0, 60, 3):
            body[at] ^= int(rng.integers(1, 256))
        answer = client.post(POST, content=bytes(body[: int(rng.integers(30, len(body)))]))
        assert answer.status_code in (200, 202, 400, 413, 415, 422)
    for identity in left(spool):
        assert client.delete(f"/v1/jobs/{identity}").status_code == 200


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_document_keeps_its_promises(make_served: Callable[..., Any], mode: GenerationMode) -> None:
    with make_served(server__allowed_hosts="127.0.0.1,testserver") as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=schema[POST]["POST"].as_strategy(generation_mode=mode))
        def fuzz(case: Any) -> None:
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            assert response.status_code < 500

        fuzz()
