"""Voices under a release: shares, policies, shadows and live streams, as those of faces."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlops.folders import entries
from mlops.predictions.capture_file import MASKED, files, read_captures
from mlops.predictions.captures import seals
from mlops.rollout.router import place
from mlops.rollout.traffic import Variant
from mlops.settings import load_settings
from tests.patience import until

AUDIO, LIVE = "/v1/mask/audio", "ws://127.0.0.1:8000/v1/live/audio"
CHUNK = bytes(1280)
Making = Callable[..., Any]


def beside(client: TestClient, voices: Any, weight: float = 0.5, **more: Any) -> None:
    """Have version 2 stand beside the champion, loaded."""
    voices.beside = Variant("challenger", "2", "0" * 64, weight, **more)
    until(lambda: client.get("/readyz").json().get("voice_challenger_version") == "2")


def subject(below: float, at_least: float = 0.0) -> str:
    return next(name for name in map(str, range(10_000)) if at_least <= place(name, "salt") < below)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def making(make_client: Making, spool: Path) -> Making:
    return lambda **more: make_client(jobs__spool_path=spool, jobs__reserve_bytes=0, **more)


def left(spool: Path) -> list[Path]:
    return [path for folder in entries(spool) for path in entries(folder)]


def outcomes(metrics: Any) -> dict[str, float]:
    names = ("done", "failed", "dropped", "skipped")
    values = {
        name: metrics.registry.get_sample_value("masker_shadows_total", {"endpoint": "voices", "outcome": name})
        for name in names
    }
    return {name: value for name, value in values.items() if value}


def test_subjects_are_split_by_weight(making: Making, voices: Any, sound: Callable[..., bytes]) -> None:
    with making() as client:
        beside(client, voices, 0.3)
        for name in (subject(0.3), subject(1.0, 0.3)):
            expected = ("challenger", "2") if place(name, "salt") < 0.3 else ("champion", "1")
            headers = client.post(AUDIO, content=sound(), headers={"X-Subject-Id": name}).headers
            assert (headers["x-variant"], headers["x-model-version"]) == expected
        for style in ("weird", 7):
            voices.beside = Variant("challenger", "3", "0" * 64, 1.0, policy={"style": style})
            until(lambda: client.get("/readyz").json().get("voice_challenger_version") is None)
            assert client.post(AUDIO, content=sound()).headers["x-variant"] == "champion"


def test_a_variants_policy_holds_where_the_request_says_nothing(
    making: Making, voices: Any, sound: Callable[..., bytes]
) -> None:
    with making() as client:
        beside(client, voices, policy={"style": "one-voice", "background": "keep"})

        def asked(name: str, **params: str) -> tuple[str, str]:
            answer = client.post(AUDIO, content=sound(), headers={"X-Subject-Id": name}, params=params)
            report = json.loads(answer.headers["x-mask-report"])
            return report["style"], report["background"]

        assert asked(subject(0.5)) == ("one-voice", "keep")
        assert asked(subject(0.5), style="disguise") == ("disguise", "keep")
        assert asked(subject(1.0, 0.5)) == ("strong", "drop")


def test_a_shadow_gets_copies_of_sound_and_answers_nobody(
    making: Making,
    voices: Any,
    sound: Callable[..., bytes],
    predictions: Callable[..., Any],
    spool: Path,
    rows_of: dict[str, Any],
) -> None:
    with making(capture__share=1) as client:
        beside(client, voices, 0.0, shadow=True)
        answer = client.post(AUDIO, content=sound())
        assert (answer.headers["x-variant"], answer.headers["x-model-version"]) == ("champion", "1")
        real, shadow = sorted(predictions(2), key=lambda row: row["shadow"])
        until(lambda: not left(spool))
    assert (real["shadow"], real["variant"], shadow["shadow"], shadow["variant"]) == (
        False,
        "champion",
        True,
        "challenger",
    )
    assert (shadow["version"], shadow["outcome"], shadow["endpoint"]) == ("2", "ok", "voices")
    assert shadow["counts"] == {
        **real["counts"],
        "champion_utterances": 1.0,
        "champion_utility": real["counts"]["utility"],
    }
    assert 0 < real["counts"]["utility"] <= 1
    settings = load_settings(environ={f"MASKER_{name.upper()}": str(value) for name, value in rows_of.items()})
    seal = seals(settings.capture, None)[MASKED]
    kept = [each for place in files(settings.capture.path, MASKED) for each in read_captures(place, seal)]
    assert {(each.endpoint, each.variant, each.media_type) for each in kept} == {
        ("voices", "champion", "audio/wav"),
        ("voices", "challenger", "audio/wav"),
    }
    assert sound() not in [each.output for each in kept]


def test_a_shadow_that_fails_or_hangs_is_no_matter(
    making: Making, voices: Any, sound: Callable[..., bytes], predictions: Callable[..., Any], metrics: Any, spool: Path
) -> None:
    with making() as client:
        beside(client, voices, 0.0, shadow=True)
        voices.broken = {"2"}
        assert client.post(AUDIO, content=sound()).status_code == 200
        assert {(row["shadow"], row["outcome"]) for row in predictions(2)} == {(False, "ok"), (True, "failed")}
        voices.broken = set()
        until(lambda: not left(spool))
        gate = voices.closed["2"] = threading.Event()
        for _ in range(3):
            assert client.post(AUDIO, content=sound()).status_code == 200, "nobody waits for it"
        assert outcomes(metrics) == {"failed": 1, "skipped": 2}, "one at a time"
        assert len(left(spool)) > 0
        gate.set()
        until(lambda: not left(spool))
    assert outcomes(metrics) == {"failed": 1, "skipped": 2, "done": 1}


def test_a_shadow_gives_way_as_soon_as_somebody_waits(
    making: Making, voices: Any, registry: Any, sound: Callable[..., bytes], photo: bytes, metrics: Any
) -> None:
    """A copy that runs ends at its next piece once a photo has to wait for a thread."""
    with making(serving__threads=1) as client:
        beside(client, voices, 0.0, shadow=True)
        gate = voices.closed["2"] = threading.Event()
        assert client.post(AUDIO, content=sound()).status_code == 200
        registry.detector.gate.clear()
        asking = [
            threading.Thread(target=client.post, args=("/v1/mask/image",), kwargs={"content": photo}) for _ in range(2)
        ]
        for each in asking:
            each.start()
        until(lambda: "masker_queue_depth 1.0" in client.get("/metrics").text)
        gate.set()
        until(lambda: outcomes(metrics) == {"dropped": 1})
        registry.detector.gate.set()
        for each in asking:
            each.join()


def test_a_job_makes_no_copy(
    making: Making, voices: Any, sound: Callable[..., bytes], metrics: Any, spool: Path
) -> None:
    with making() as client:
        beside(client, voices, 0.0, shadow=True)
        assert client.post(AUDIO, content=sound(), headers={"Prefer": "respond-async"}).status_code == 202
        assert [path.name for path in left(spool)] == ["input"], "its media are the job's"
    assert outcomes(metrics) == {}


def test_live_sound_is_the_champions_while_a_shadow_listens(making: Making, voices: Any) -> None:
    with making() as client:
        beside(client, voices, 0.0, shadow=True)
        with client.websocket_connect(LIVE, headers={"X-Subject-Id": subject(0.5)}) as socket:
            assert told(socket) == ("1", "")


def test_live_sound_keeps_its_variant_until_that_is_gone(making: Making, voices: Any) -> None:
    with making() as client:
        beside(client, voices, 0.5)
        with client.websocket_connect(LIVE, headers={"X-Subject-Id": subject(1.0, 0.5)}) as socket:
            assert told(socket) == ("1", "")
        with client.websocket_connect(LIVE, headers={"X-Subject-Id": subject(0.5)}) as socket:
            assert told(socket) == ("2", "")
            voices.beside = None
            until(lambda: told(socket) == ("1", ""))


def told(socket: Any) -> tuple[str, str]:
    socket.send_bytes(CHUNK)
    line = json.loads(socket.receive_text())
    socket.receive_bytes()
    return line["model_version"], line["fault"]
