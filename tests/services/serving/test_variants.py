import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from masking.errors import ModelError
from mlops.predictions.capture_file import MASKED, Capture, files, read_captures
from mlops.predictions.captures import seals
from mlops.rollout.router import place
from mlops.rollout.traffic import Variant
from mlops.settings import load_settings
from tests.patience import until

MASK, DETECT, AUDIO, LIVE = "/v1/mask/image", "/v1/detect/image", "/v1/mask/audio", "ws://127.0.0.1:8000/v1/live"
NEW = {"Cache-Control": "no-store"}


def stands(client: TestClient, version: str) -> Callable[[], bool]:
    """Say whether a challenger of that version is loaded."""
    return lambda: client.get("/readyz").json().get("challenger_version") == version


def subject(below: float, at_least: float = 0.0) -> str:
    """Somebody whose place lies there, for a split whose salt is `salt`."""
    return next(name for name in map(str, range(10_000)) if at_least <= place(name, "salt") < below)


def test_subjects_are_split_by_weight_and_each_keeps_its_variant(
    client: TestClient, registry: Any, photo: bytes
) -> None:
    registry.put_beside("2", 0.3)
    until(stands(client, "2"))
    for name in map(str, range(30)):
        expected = "challenger" if place(name, "salt") < 0.3 else "champion"
        for headers in ({"X-Subject-Id": name}, {"Cookie": f"other=1; masker_session={name}"}):
            answer = client.post(MASK, content=photo, headers=headers)
            told = answer.headers["x-variant"], answer.headers["x-model-version"], answer.headers["x-endpoint"]
            assert told == (expected, {"champion": "1", "challenger": "2"}[expected], "faces")


def test_the_cache_keeps_variants_apart(client: TestClient, registry: Any, photo: bytes) -> None:
    registry.put_beside("2", 0.5)
    until(stands(client, "2"))
    caches = [
        client.post(MASK, content=photo, headers={"X-Subject-Id": name}).headers["x-cache"]
        for name in (subject(0.5), subject(1.0, 0.5), subject(0.5), subject(1.0, 0.5))
    ]
    assert caches == ["miss", "miss", "hit-memory", "hit-memory"]


def test_a_variants_policy_holds_where_the_request_says_nothing(
    client: TestClient, registry: Any, photo: bytes
) -> None:
    registry.put_beside("1", 0.5, policy={"threshold": 0.5, "style": "blur"})
    until(stands(client, "1"))
    headers = {"X-Subject-Id": subject(0.5)}
    silent = client.post(MASK, content=photo, headers=headers)
    asked = client.post(MASK, content=photo, headers=headers, params={"threshold": 0.2})
    assert [answer.headers["x-faces-masked"] for answer in (silent, asked)] == ["1", "2"]
    assert json.loads(asked.headers["x-mask-report"])["style"] == "blur"
    other = client.post(MASK, content=photo, headers={"X-Subject-Id": subject(1.0, 0.5)})
    assert (other.headers["x-faces-masked"], other.headers["x-variant"]) == ("2", "champion")
    assert client.post(DETECT, content=photo, headers=headers).headers["x-variant"] == "challenger"


def test_a_variant_is_picked_only_by_those_who_may(
    make_client: Callable[..., Any], registry: Any, photo: bytes
) -> None:
    registry.put_beside("2", 0.0)
    pick = {"X-Variant": "challenger"}
    with make_client() as client:
        until(stands(client, "2"))
        refused = client.post(MASK, content=photo, headers=pick)
        assert (refused.status_code, refused.json()["type"].rsplit(":")[-1]) == (403, "no-override")
        client._transport.client = ("127.0.0.1", 5000)
        picked = client.post(MASK, content=photo, headers=pick)
        assert (picked.headers["x-variant"], picked.headers["x-model-version"]) == ("challenger", "2")
        unknown = client.post(MASK, content=photo, headers={"X-Variant": "arm"})
        assert (unknown.status_code, unknown.json()["detail"]) == (
            422,
            "the variants of faces are: champion, challenger",
        )
        assert client.post(MASK, content=photo).headers["x-variant"] == "champion", "of weight 0 nobody gets it"


def test_a_candidate_that_fails_fails_nobody_and_is_told(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any]
) -> None:
    registry.put_beside("2", 0.5).error = RuntimeError("broken")
    until(stands(client, "2"))
    name = subject(0.5)
    answer = client.post(MASK, content=photo, headers={"X-Subject-Id": name})
    assert (answer.status_code, answer.headers["x-variant"], answer.headers["x-model-version"]) == (
        200,
        "champion",
        "1",
    )
    rows = predictions(2)
    told = {(row["variant"], row["version"], row["outcome"], row["status"], row["release"]) for row in rows}
    assert told == {
        ("challenger", "2", "failed", 500, "a-release"),
        ("champion", "1", "ok", 200, "a-release"),
    }
    assert len({row["identity"] for row in rows}) == 2


def test_a_champion_that_fails_is_an_error(client: TestClient, registry: Any, photo: bytes) -> None:
    registry.put_beside("2", 0.5).error = RuntimeError("broken")
    until(stands(client, "2"))
    registry.detector.error = RuntimeError("broken too")
    answer = client.post(MASK, content=photo, headers={"X-Subject-Id": subject(0.5)})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["x-prediction-id"]


def test_without_databases_and_redis_serving_goes_on(make_client: Callable[..., Any], photo: bytes) -> None:
    away = {
        "predictions__url": "postgresql+psycopg2://nobody@127.0.0.1:1/none",
        "database__url": "postgresql+psycopg2://nobody@127.0.0.1:1/none",
        "cache__redis_url": "redis://127.0.0.1:1",
        "cache__secret": "0123456789" * 4,
        "limits__client_redis_url": "redis://127.0.0.1:1",
        "limits__client_requests": 1000,
    }
    with make_client(**away) as client:
        statuses = [client.post(MASK, content=photo, headers=NEW).status_code for _ in range(30)]
    assert statuses == [200] * 30


def test_a_candidate_that_cannot_be_loaded_leaves_the_champion_everything(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any]
) -> None:
    registry.error = ModelError("its golden test fails")
    registry.put_beside("2", 1.0)
    (row, *_) = predictions(1)
    assert (row["variant"], row["version"], row["outcome"], row["status"]) == ("challenger", "2", "failed", 0)
    assert client.post(MASK, content=photo).headers["x-variant"] == "champion"


@pytest.mark.parametrize("policy", [{"treshold": 0.3}, {"threshold": 7}, {"style": "sepia"}])
def test_a_candidate_whose_policy_is_none_leaves_the_champion_everything(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any], policy: dict[str, object]
) -> None:
    registry.put_beside("2", 1.0, policy=policy)
    assert predictions(1)[0]["status"] == 0
    assert client.post(MASK, content=photo).headers["x-variant"] == "champion"


def test_every_way_out_leaves_a_row(client: TestClient, photo: bytes, predictions: Callable[..., Any]) -> None:
    answers = [
        client.post(MASK, content=photo, headers={"X-Subject-Id": "somebody"}),
        client.post(MASK, content=photo, headers={"X-Subject-Id": "somebody"}),
        client.post(MASK, content=b"no image"),
        client.post(DETECT, content=photo),
        client.post(MASK, content=photo, params={"style": "averages"}),
    ]
    rows = predictions(5)
    assert [(row["outcome"], row["status"], row["cache"]) for row in rows] == [
        ("ok", 200, "miss"),
        ("cached", 200, "hit-memory"),
        ("rejected", 415, ""),
        ("ok", 200, ""),
        ("rejected", 422, ""),
    ]
    assert [row["identity"] for row in rows] == [answer.headers["x-prediction-id"] for answer in answers]
    assert {(answer.headers["x-variant"], answer.headers["x-model-version"]) for answer in answers} == {
        ("champion", "1")
    }
    assert rows[0]["subject"] == rows[1]["subject"] not in ("", "somebody")
    assert {row["subject"] for row in rows[2:]} == {""}
    assert rows[0]["faces"] == 2
    assert rows[0]["seconds"] > 0
    assert {"queue", "decode", "detect", "mask", "encode"} <= rows[0]["stages"].keys()
    assert {row["variant"] for row in rows} == {"champion"}


def test_a_shadow_gets_copies_and_answers_nobody(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any]
) -> None:
    registry.put_beside("2", 0.0, shadow=True)
    until(stands(client, "2"))
    answer = client.post(MASK, content=photo, headers=NEW)
    assert (answer.headers["x-variant"], answer.headers["x-model-version"]) == ("champion", "1")
    real, shadow = sorted(predictions(2), key=lambda row: row["shadow"])
    assert (real["shadow"], real["variant"]) == (False, "champion")
    assert (shadow["shadow"], shadow["variant"], shadow["version"], shadow["outcome"]) == (
        True,
        "challenger",
        "2",
        "ok",
    )
    open_share = real["counts"]["utility"]
    assert shadow["counts"] == {"faces": 2.0, "champion_faces": 2.0, "utility": open_share}
    assert open_share == pytest.approx(1 - 2 * 48 * 64 / (320 * 240), abs=0.02), "what lies under no mask"
    assert shadow["identity"] != real["identity"] == answer.headers["x-prediction-id"]


def test_a_shadow_that_fails_or_hangs_is_no_matter(
    client: TestClient, registry: Any, photo: bytes, metrics: Any, predictions: Callable[..., Any]
) -> None:
    slow = registry.put_beside("2", 0.0, shadow=True)
    slow.error = RuntimeError("broken")
    until(stands(client, "2"))
    assert client.post(MASK, content=photo, headers=NEW).status_code == 200
    assert {(row["shadow"], row["outcome"]) for row in predictions(2)} == {(False, "ok"), (True, "failed")}
    slow.gate.clear()
    for _ in range(4):
        assert client.post(MASK, content=photo, headers=NEW).status_code == 200
    told = {"endpoint": "faces", "outcome": "skipped"}
    assert metrics.registry.get_sample_value("masker_shadows_total", told) == 3, "one at a time"
    slow.gate.set()
    assert [row["shadow"] for row in predictions(7)].count(True) == 2


def test_a_live_stream_keeps_its_variant_until_that_is_gone(client: TestClient, registry: Any, photo: bytes) -> None:
    registry.put_beside("2", 0.5)
    until(stands(client, "2"))

    def version() -> str:
        socket.send_bytes(photo)
        told = json.loads(socket.receive_text())
        socket.receive_bytes()
        assert told["fault"] == ""
        return str(told["model_version"])

    with client.websocket_connect(LIVE, headers={"X-Subject-Id": subject(0.5)}) as socket:
        assert version() == "2"
        registry.beside = None
        until(lambda: version() == "1")


def test_a_candidate_that_fails_in_a_stream_is_replaced_at_that_frame(
    client: TestClient, registry: Any, photo: bytes, predictions: Callable[..., Any]
) -> None:
    candidate = registry.put_beside("2", 0.5)
    until(stands(client, "2"))
    with client.websocket_connect(LIVE, headers={"X-Subject-Id": subject(0.5)}) as socket:
        told = []
        for error in (None, RuntimeError("broken"), None):
            candidate.error = error
            socket.send_bytes(photo)
            told.append(json.loads(socket.receive_text()))
            socket.receive_bytes()
    assert [(frame["model_version"], frame["fault"], frame["faces"]) for frame in told] == [
        ("2", "", 2),
        ("1", "", 2),
        ("1", "", 2),
    ]
    failed, session = sorted(predictions(2), key=lambda row: row["outcome"])
    assert (failed["variant"], failed["outcome"]) == ("challenger", "failed")
    assert (session["status"], session["counts"]["frames"], session["counts"]["bad"]) == (101, 3, 0)


def test_samples_of_masked_output_are_kept_and_of_what_came_in_nothing(
    make_client: Callable[..., Any], registry: Any, photo: bytes, rows_of: dict[str, Any]
) -> None:
    with make_client(capture__share=1) as client:
        registry.put_beside("2", 0.0, shadow=True)
        until(stands(client, "2"))
        answer = client.post(MASK, content=photo)
        again = client.post(MASK, content=photo)
        until(lambda: len(captures(rows_of)) == 2)
    real, shadow = captures(rows_of)
    if real.variant != "champion":
        real, shadow = shadow, real
    assert (real.identity, real.output, real.media_type) == (
        answer.headers["x-prediction-id"],
        answer.content,
        "image/jpeg",
    )
    assert real.features["boxes"].shape == (2, 4)
    assert real.report["faces"] == 2
    assert (shadow.variant, shadow.version) == ("challenger", "2")
    assert again.headers["x-prediction-id"] not in (real.identity, shadow.identity), "what the cache answers is no news"
    assert photo not in (real.output, shadow.output)


@pytest.mark.parametrize(("share", "expected"), [(1e-9, {"challenger"}), (0.0, set())])
def test_of_a_candidate_more_is_kept_for_the_judge(
    make_client: Callable[..., Any],
    registry: Any,
    picture: Callable[..., bytes],
    rows_of: dict[str, Any],
    share: float,
    expected: set[str],
) -> None:
    with make_client(capture__share=share, capture__release_share=1) as client:
        registry.put_beside("2", 0.02)
        until(stands(client, "2"))
        for below, at_least in ((0.02, 0.0), (1.0, 0.02)):
            client.post(MASK, content=picture(), headers=NEW | {"X-Subject-Id": subject(below, at_least)})
    # As many of the champion's as of the candidate's: one in fifty.
    assert {each.variant for each in captures(rows_of)} - {"champion"} == expected


def captures(rows_of: dict[str, Any]) -> list[Capture]:
    settings = load_settings(environ={f"MASKER_{name.upper()}": str(value) for name, value in rows_of.items()})
    seal = seals(settings.capture, None)[MASKED]
    return [capture for place in files(settings.capture.path, MASKED) for capture in read_captures(place, seal)]


def test_voices_have_variants_too_and_a_candidate_that_fails_fails_nobody(
    client: TestClient, voices: Any, sound: Callable[..., bytes], predictions: Callable[..., Any]
) -> None:
    voices.beside = Variant("challenger", "2", "0" * 64, 0.5)
    until(lambda: client.get("/readyz").json().get("voice_challenger_version") == "2")
    told = []
    for name, broken in ((subject(0.5), set()), (subject(1.0, 0.5), set()), (subject(0.5), {"2"})):
        voices.broken = broken
        answer = client.post(AUDIO, content=sound(), headers={"X-Subject-Id": name})
        assert answer.status_code == 200, answer.text
        told.append((answer.headers["x-endpoint"], answer.headers["x-variant"], answer.headers["x-model-version"]))
    assert told == [("voices", "challenger", "2"), ("voices", "champion", "1"), ("voices", "champion", "1")]
    rows = predictions(4)
    assert sorted((row["variant"], row["outcome"]) for row in rows) == [
        ("challenger", "failed"),
        ("challenger", "ok"),
        ("champion", "ok"),
        ("champion", "ok"),
    ]
    assert all(row["counts"]["seconds"] > 1 for row in rows if row["outcome"] == "ok")


def test_kept_answers_are_taken_back_by_version_and_subject(client: TestClient, photo: bytes) -> None:
    def cache(subject: str, style: str) -> str:
        answer = client.post(MASK, content=photo, headers={"X-Subject-Id": subject}, params={"style": style})
        return str(answer.headers["x-cache"])

    def purge(**params: str) -> Any:
        answer = client.delete("/v1/cache", params=params)
        return answer.json()["answers"] if answer.status_code == 200 else answer.status_code

    assert [cache("a", "solid"), cache("b", "blur")] == ["miss", "miss"]
    assert purge(subject="a", version="2") == 0
    assert purge(subject="a", version="1") == 1
    assert [cache("a", "solid"), cache("b", "blur")] == ["miss", "hit-memory"]
    assert (purge(version="1"), purge()) == (2, 0)
    assert purge(versoin="1") == 422
    assert cache("b", "blur") == "miss"
    assert (purge(version=""), purge(subject="", version="1")) == (422, 422), "a variable of a shell that is empty"
    assert cache("b", "blur") == "hit-memory"
