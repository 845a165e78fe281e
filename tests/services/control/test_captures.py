"""What was captured is listed, opened by whoever says why, and raw input only under its grant."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.predictions.capture_file import MASKED, RAW, Capture, write_captures
from mlops.predictions.captures import Captures, seals
from mlops.predictions.row import new_identity
from mlops.settings import Settings

BY = {"X-Actor": "ada"}
WHY = {"reason": "a face was missed"}
NUL = {"headers": BY, "params": {"reason": "a\x00b"}}
PHOTO = b"\xff\xd8 a masked photo"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"capture": settings.capture.model_copy(update={"raw_granters": ("ada", "eve")})})


@pytest.fixture
def control(serve: Callable[[Settings], Any], settings: Settings) -> Iterator[TestClient]:
    with serve(settings) as client:
        yield client


def faces(**others: Any) -> Capture:
    ordinary: dict[str, Any] = {
        "identity": new_identity(), "time": time.time(), "endpoint": "faces", "model": "face-detector", "version": "1",
        "variant": "champion", "features": {"boxes": np.ones((1, 4), np.float32)}, "output": PHOTO,
        "media_type": "image/jpeg", "report": {"faces": 1},
    }  # fmt: skip
    return Capture(**(ordinary | others))


def keep(settings: Settings, *captures: Capture, ending: str = MASKED, seconds: float = 100, ago: float = 0) -> None:
    settings.capture.path.mkdir(exist_ok=True)
    seal = seals(settings.capture, settings.cache.read_secret())[ending]
    write_captures(settings.capture.path, captures, ending, seal, time.time() - ago, seconds)


def entries(control: TestClient) -> list[tuple[str, str, str]]:
    found = control.get("/v1/audit").json()["entries"]
    return [(each["actor"], each["action"], each["subject"]) for each in found]


def test_captures_are_listed_newest_first_by_what_is_asked_for(control: TestClient, settings: Settings) -> None:
    old, new = faces(), faces(version="2", variant="challenger")
    voices = faces(endpoint="voices", media_type="audio/wav", output=b"RIFF")
    keep(settings, old, ago=2)
    keep(settings, voices, new)

    def listed(**asked: object) -> list[str]:
        answer = control.get("/v1/captures", params=asked)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["captures"]]

    assert listed() == [new.identity, voices.identity, old.identity]
    assert listed(most=1) == [new.identity]
    assert listed(endpoint="faces", version="1") == [old.identity]
    assert listed(variant="challenger") == [new.identity]
    assert listed(since="2000-01-01T00:00:00Z", until="2001-01-01T00:00:00Z") == []
    (told,) = control.get("/v1/captures", params={"endpoint": "voices"}).json()["captures"]
    assert (told["media_type"], told["bytes"], "report" in told) == ("audio/wav", 4, False)
    assert entries(control) == [], "a list opens nothing"
    assert control.get("/v1/captures", params={"endpont": "faces"}).status_code == 422


def test_there_are_none_where_nothing_was_captured(control: TestClient) -> None:
    assert control.get("/v1/captures").json() == {"captures": []}
    assert control.get(f"/v1/captures/{new_identity()}", params=WHY, headers=BY).status_code == 404


def test_who_opens_one_says_why_and_is_in_the_log(control: TestClient, settings: Settings) -> None:
    kept = faces(report={"faces": 1, "odd": float("nan")})
    keep(settings, kept, faces())
    path = f"/v1/captures/{kept.identity}"
    for given in ({"headers": BY}, {"params": WHY}, {"headers": BY, "params": {"reason": " "}}, NUL):
        for asked in (path, f"{path}/output"):
            assert control.get(asked, **given).status_code == 422
    assert entries(control) == []
    shown = control.get(path, params=WHY, headers=BY).json()
    assert (shown["features"], shown["report"], shown["outputs"]) == (
        {"boxes": [[1.0] * 4]},
        {"faces": 1, "odd": None},
        {},
    )
    answer = control.get(f"{path}/output", params=WHY, headers=BY)
    assert (answer.content, answer.headers["content-type"], answer.headers["cache-control"]) == (
        PHOTO,
        "image/jpeg",
        "no-store",
    )
    assert entries(control) == [
        ("ada", "capture.open-output", kept.identity),
        ("ada", "capture.open-features", kept.identity),
    ]
    assert control.get("/v1/audit/verify").json()["whole"]


def test_of_a_generic_model_the_outputs_are_told(control: TestClient, settings: Settings) -> None:
    kept = faces(endpoint="demo", media_type="", output={"label": np.array([3])}, features={"x": np.array([1.5])})
    keep(settings, kept)
    path = f"/v1/captures/{kept.identity}"
    shown = control.get(path, params=WHY, headers=BY).json()
    assert (shown["outputs"], shown["features"], shown["bytes"]) == ({"label": [3]}, {"x": [1.5]}, 0)
    assert control.get(f"{path}/output", params=WHY, headers=BY).json() == {"label": [3]}


def test_raw_input_opens_only_under_its_grant(control: TestClient, settings: Settings) -> None:
    kept = faces(output=b"a face", features={})
    keep(settings, kept, ending=RAW)
    path = f"/v1/captures/{kept.identity}/raw"

    def opened(actor: str) -> int:
        answer = control.get(path, params=WHY, headers={"X-Actor": actor})
        assert b"a face" not in answer.content or answer.status_code == 200
        return answer.status_code

    assert opened("ada") == 403, "there is no grant"
    wish = {"endpoint": "faces", "seconds": 60, "reason": "a face was missed"}
    grant = control.post("/v1/captures/grants", json=wish, headers=BY).json()
    assert [opened(actor) for actor in ("bob", "ada", "eve")] == [403, 200, 200]
    assert control.get(f"/v1/captures/{kept.identity}", params=WHY, headers=BY).status_code == 404, "it is no capture"
    control.delete(f"/v1/captures/grants/{grant['id']}", headers=BY)
    assert opened("ada") == 403, "it was taken back"
    told = [(actor, action) for actor, action, _ in entries(control)]
    assert told == [("ada", "capture.revoke"), ("eve", "capture.open-raw"), ("ada", "capture.open-raw"),
                    ("ada", "capture.grant")]  # fmt: skip


def test_a_grant_of_another_endpoint_opens_nothing(control: TestClient, settings: Settings) -> None:
    kept = faces(output=b"a voice", endpoint="voices")
    keep(settings, kept, ending=RAW)
    wish = {"endpoint": "faces", "seconds": 60, "reason": "a face was missed"}
    control.post("/v1/captures/grants", json=wish, headers=BY)
    assert control.get(f"/v1/captures/{kept.identity}/raw", params=WHY, headers=BY).status_code == 403


def test_what_is_over_changed_or_of_another_key_does_not_open(control: TestClient, settings: Settings) -> None:
    over, other = faces(), faces()
    keep(settings, over, ago=10, seconds=5)
    strange = settings.model_copy(
        update={"cache": settings.cache.model_copy(update={"secret": SecretStr("another secret " * 3)})}
    )
    keep(strange, other)
    (settings.capture.path / f"{int(time.time() * 1000)}-{10**15}-00{MASKED}").write_bytes(b"damaged")
    assert control.get("/v1/captures").json() == {"captures": []}
    for each in (over, other):
        assert control.get(f"/v1/captures/{each.identity}", params=WHY, headers=BY).status_code == 404
    assert entries(control) == []


def test_without_the_log_nothing_opens(serve: Callable[[Settings], Any], settings: Settings) -> None:
    kept = faces()
    keep(settings, kept)
    away = SecretStr("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    broken = settings.model_copy(update={"database": settings.database.model_copy(update={"url": away})})
    with serve(broken) as client:
        answer = client.get(f"/v1/captures/{kept.identity}/output", params=WHY, headers=BY)
    assert answer.status_code == 503
    assert PHOTO not in answer.content


def test_what_serving_captures_can_be_opened(control: TestClient, settings: Settings) -> None:
    captures = Captures(settings.capture, Metrics(), settings.cache.read_secret())
    captures.open()
    kept = faces()
    captures.offer(kept)
    captures.close()
    assert control.get(f"/v1/captures/{kept.identity}/output", params=WHY, headers=BY).content == PHOTO
