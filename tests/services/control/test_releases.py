"""Releases, approvals and the audit log over HTTP, with the real database and a folder of bundles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from mlops.database import Database
from mlops.registry.bundle import point
from mlops.rollout import state
from mlops.rollout.state import Release
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings

ADA, BOB, EVE = ({"X-Actor": name} for name in ("ada", "bob", "eve"))
WANTED = {"endpoint": "faces", "version": "2", "reason": "finds more faces"}
WHY = {"reason": "because"}


@pytest.fixture(autouse=True)
def champion(settings: Settings) -> None:
    point(settings.registry.bundles_path, "face-detector", "1", "1" * 64)


def step(weight: float) -> dict[str, float]:
    return {"weight": weight, "seconds": 60, "minimum": 5}


def asked(control: TestClient, **changes: object) -> dict[str, Any]:
    answer = control.post("/v1/releases", json=WANTED | changes, headers=ADA)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def loop(settings: Settings, identity: str, *moves: Callable[[Release, float], Release]) -> None:
    """Do what the release loop does."""
    database = Database(settings.database, TABLES)
    for move in moves:
        ReleaseStore(database).act(identity, "loop", move.__name__, move)
    database.close()


def test_a_release_of_low_risk_is_queued_at_once(control: TestClient) -> None:
    told = asked(control)
    assert (told["status"], told["phase"], told["approval_id"]) == ("queued", "queued", None)
    assert (told["endpoint"], told["model"], told["version"], told["baseline"]) == ("faces", "face-detector", "2", "1")
    assert told["digest"] == "2" * 64
    assert (told["strategy"], told["requested_by"], told["weight"]) == ("canary", "ada", 0.0)
    assert len(told["steps"]) > 1
    assert control.get(f"/v1/releases/{told['id']}").json()["reason"] == "finds more faces"
    assert [each["id"] for each in control.get("/v1/releases").json()["releases"]] == [told["id"]]
    assert control.get("/v1/releases", params={"endpoint": "voices"}).json() == {"releases": []}


def test_newest_and_steps_of_ones_own_are_taken(control: TestClient) -> None:
    steps = [{"weight": 0.1, "seconds": 5, "minimum": 20}, {"weight": 0.5, "seconds": None, "minimum": 1}]
    told = asked(control, version="newest", steps=steps, policy={"threshold": 0.3})
    assert (told["version"], told["policy"]) == ("2", {"threshold": 0.3})
    assert told["steps"] == [steps[0] | {"seconds": 5.0}, steps[1]]


@pytest.mark.parametrize(
    ("endpoint", "policy", "told"),
    [
        ("faces", {"threshold": 9}, "threshold"),
        ("faces", {"threshold": "0.3"}, "a number"),
        ("faces", {"threshold": True}, "a number"),
        ("faces", {"style": ["blur"]}, "a text"),
        ("faces", {"key": "00" * 32}, "a policy may say"),
        ("voices", {"style": "solid"}, "voice style"),
        ("voices", {"consistent": 1}, "true or false"),
        ("digits", {"threshold": 0.3}, "masks nothing"),
    ],
)
def test_a_policy_that_nothing_can_serve_by_is_refused(
    control: TestClient, endpoint: str, policy: dict[str, object], told: str
) -> None:
    answer = control.post("/v1/releases", json=WANTED | {"endpoint": endpoint, "policy": policy}, headers=ADA)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert control.get("/v1/releases").json() == {"releases": []}


def test_a_release_of_medium_risk_waits_for_one_other_person(control: TestClient) -> None:
    told = asked(control, risk="medium")
    assert told["status"] == "pending_approval"
    approval = f"/v1/approvals/{told['approval_id']}"
    assert control.get(approval).json()["state"] == "pending"
    own = control.post(f"{approval}/approve", json=WHY, headers=ADA)
    assert own.status_code == 409
    assert own.json()["detail"] == "nobody decides on his own release"
    for reason in ("", " \n", "a zero\x00 in it", "\x00"):
        assert control.post(f"{approval}/approve", json={"reason": reason}, headers=BOB).status_code == 422, repr(
            reason
        )
    approved = control.post(f"{approval}/approve", json={"reason": "two\nlines, zwei Gründe"}, headers=BOB).json()
    assert (approved["state"], [vote["actor"] for vote in approved["votes"]]) == ("approved", ["bob"])
    assert control.get(f"/v1/releases/{told['id']}").json()["phase"] == "queued"
    assert control.post(f"{approval}/reject", json=WHY, headers=EVE).status_code == 409


def test_high_risk_needs_two_and_one_rejection_ends_it(control: TestClient) -> None:
    told = asked(control, risk="high")
    # The release's own id does as well: that is what one has at hand.
    approval = f"/v1/approvals/{told['id']}"
    assert control.post(f"{approval}/approve", json=WHY, headers=BOB).json()["state"] == "pending"
    assert control.post(f"{approval}/approve", json=WHY, headers=BOB).status_code == 409
    assert control.post(f"{approval}/reject", json={"reason": "not on a Friday"}, headers=EVE).status_code == 200
    release = control.get(f"/v1/releases/{told['id']}").json()
    assert release["phase"] == "rejected"
    assert "not on a Friday" in release["note"]
    assert [each["state"] for each in control.get("/v1/approvals").json()["approvals"]] == ["rejected"]


def test_a_version_tagged_as_risky_waits_whoever_releases_it(control: TestClient, shelf: Any) -> None:
    shelf.put("face-detector", "3", risk_level="medium")
    assert asked(control, version="3")["status"] == "pending_approval"


@pytest.mark.parametrize(
    ("endpoint", "policy", "needed"),
    [
        ("faces", {"threshold": 0.1}, 0),
        ("faces", {"search": "fast"}, 1),
        ("faces", {"threshold": 0.99}, 2),
        ("faces", {"style": "blur"}, 2),
        ("voices", {"background": "keep"}, 1),
        ("voices", {"style": "disguise"}, 2),
    ],
)
def test_a_policy_that_masks_less_waits_for_people_whatever_is_said(
    control: TestClient, shelf: Any, settings: Settings, endpoint: str, policy: dict[str, object], needed: int
) -> None:
    shelf.put("voice-masker", "2")
    point(settings.registry.bundles_path, "voice-masker", "1", "1" * 64)
    told = asked(control, endpoint=endpoint, policy=policy, risk="low")
    assert told["risk"] == ("low", "medium", "high")[needed]
    if not needed:
        assert (told["status"], told["approval_id"]) == ("queued", None)
    else:
        assert told["status"] == "pending_approval"
        assert control.get(f"/v1/approvals/{told['approval_id']}").json()["needed"] == needed


@pytest.mark.parametrize(("model", "endpoint"), [("face-detector", "faces"), ("voice-masker", "voices")])
def test_the_name_of_a_model_that_masks_is_no_endpoint(
    control: TestClient, shelf: Any, settings: Settings, model: str, endpoint: str
) -> None:
    shelf.put(model, "2")
    point(settings.registry.bundles_path, model, "1", "1" * 64)
    wanted = WANTED | {"endpoint": model, "strategy": "blue-green", "policy": {"style": "blur"}}
    steps = [{"weight": 1, "seconds": 1, "minimum": 1}]
    for body in (wanted, wanted | {"policy": {}, "steps": steps}):
        answer = control.post("/v1/releases", json=body, headers=ADA)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert answer.json()["detail"] == f"{model} is the model behind the endpoint {endpoint}: use {endpoint}"
    listed = control.get("/v1/releases", params={"endpoint": model})
    assert (listed.status_code, f"use {endpoint}" in listed.json()["detail"]) == (404, True)
    assert control.get("/v1/releases").json() == {"releases": []}


def test_a_champion_that_was_changed_by_hand_since_is_not_taken_back(control: TestClient, settings: Settings) -> None:
    root = settings.registry.bundles_path
    identity = asked(control, strategy="blue-green")["id"]
    loop(settings, identity, state.prepare, state.start, state.promote_full)
    point(root, "face-detector", "2", "2" * 64)
    loop(settings, identity, state.succeed)
    # What `make champion` comes to, once the worker has seen it.
    point(root, "face-detector", "6", "6" * 64)
    refused = control.post(f"/v1/releases/{identity}/rollback", json=WHY, headers=BOB)
    assert refused.status_code == 409
    for told in ("the champion was changed since, by hand", "version 6 serves", "start a release"):
        assert told in refused.json()["detail"]
    assert control.get(f"/v1/releases/{identity}").json()["phase"] == "succeeded"
    # The same number with other files is another champion, too.
    point(root, "face-detector", "2", "6" * 64)
    assert control.post(f"/v1/releases/{identity}/rollback", json=WHY, headers=BOB).status_code == 409
    point(root, "face-detector", "2", "2" * 64)
    back = control.post(f"/v1/releases/{identity}/rollback", json=WHY, headers=BOB)
    assert (back.status_code, back.json()["phase"]) == (200, "rolling_back")


def test_people_move_a_release_on_and_back(control: TestClient, settings: Settings) -> None:
    identity = asked(control, steps=[step(0.1), step(0.5)])["id"]
    loop(settings, identity, state.prepare, state.start)

    def post(action: str) -> tuple[int, dict[str, Any]]:
        answer = control.post(f"/v1/releases/{identity}/{action}", json=WHY, headers=BOB)
        return answer.status_code, answer.json()

    def stands(action: str) -> tuple[str, int, float]:
        status, told = post(action)
        assert status == 200, told
        return told["phase"], told["step"], told["weight"]

    assert stands("promote") == ("running", 1, 0.5)
    assert stands("pause") == ("paused", 1, 0.5)
    assert post("promote")[0] == 409
    assert stands("resume") == ("running", 1, 0.5)
    assert stands("promote-full") == ("promoting", 2, 1.0)
    loop(settings, identity, state.succeed)
    assert post("pause")[0] == 409
    assert stands("rollback") == ("rolling_back", 2, 0.0)


def test_a_release_that_has_not_begun_is_aborted_at_once(control: TestClient) -> None:
    identity = asked(control)["id"]
    answer = control.post(f"/v1/releases/{identity}/abort", json=WHY, headers=ADA)
    assert answer.json()["phase"] == "aborted"
    again = control.post(f"/v1/releases/{identity}/abort", json=WHY, headers=ADA)
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert "aborted" in again.json()["detail"]


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"version": "9"}, 404, "no version 9"),
        ({"endpoint": "nobody"}, 404, "nobody"),
        ({"version": "1"}, 409, "champion already"),
        ({"endpoint": "voices", "version": "1"}, 409, "make champion MODEL=voice-masker"),
        (
            {"steps": [{"weight": 0.5, "seconds": 1, "minimum": 1}, {"weight": 0.1, "seconds": 1, "minimum": 1}]},
            409,
            "grow",
        ),
        ({"steps": [{"weight": 1.5, "seconds": 1, "minimum": 1}]}, 422, "weight"),
        ({"strategy": "yolo"}, 422, "strategy"),
        ({"reason": " "}, 422, "reason"),
        ({"risk": "none"}, 422, "risk"),
        ({"endpoint": "../faces"}, 422, "endpoint"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    control: TestClient, shelf: Any, changes: dict[str, object], status: int, told: str
) -> None:
    shelf.put("voice-masker", "1")
    answer = control.post("/v1/releases", json=WANTED | changes, headers=ADA)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert told in str(answer.json().get("errors") or answer.json()["detail"])
    assert control.get("/v1/releases").json() == {"releases": []}


@pytest.mark.parametrize("headers", [{}, {"X-Actor": ""}, {"X-Actor": "a b"}, {"X-Actor": "x" * 65}])
def test_nobody_acts_without_a_name(control: TestClient, headers: dict[str, str]) -> None:
    answer = control.post("/v1/releases", json=WANTED, headers=headers)
    assert answer.status_code == 422
    assert "X-Actor" in str(answer.json()["errors"])


def test_what_was_done_is_in_the_audit_log_and_the_log_is_whole(control: TestClient) -> None:
    told = asked(control, risk="medium")
    control.post(f"/v1/approvals/{told['approval_id']}/approve", json=WHY, headers=BOB)
    entries = control.get("/v1/audit", params={"subject": told["id"]}).json()["entries"]
    assert [(each["actor"], each["action"]) for each in entries] == [
        ("bob", "release.approved"),
        ("ada", "release.create"),
    ]
    assert entries[1]["details"]["reason"] == "finds more faces"
    whole = control.get("/v1/audit/verify").json()
    newest = control.get("/v1/audit", params={"most": 1}).json()["entries"][0]
    assert whole == {"whole": True, "broken": None, "newest": newest["digest"]}
    cut = control.get("/v1/audit/verify", params={"noted": "e" * 64}).json()
    assert cut["whole"] is False
    older = control.get("/v1/audit", params={"before": newest["sequence"], "actor": "ada"}).json()["entries"]
    assert [each["action"] for each in older] == ["release.create"]
    assert control.get("/v1/audit", params={"before": 0}).status_code == 422
    assert control.get("/v1/audit", params={"who": "ada"}).status_code == 422


def test_without_the_registry_nothing_begins_but_what_runs_can_be_stopped(control: TestClient, shelf: Any) -> None:
    identity = asked(control)["id"]
    shelf.is_away = True
    away = control.post("/v1/releases", json=WANTED, headers=ADA)
    assert (away.status_code, away.headers["retry-after"]) == (503, "5")
    assert control.post(f"/v1/releases/{identity}/abort", json=WHY, headers=ADA).status_code == 200


@pytest.mark.parametrize("path", ["/v1/releases", f"/v1/releases/{'a' * 32}", "/v1/approvals", "/v1/audit"])
def test_without_the_database_it_says_so_and_lives_and_the_log_says_why(
    serve: Callable[[Settings], Any], settings: Settings, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = settings.database.model_copy(update={"url": SecretStr(f"sqlite:///{tmp_path}")})
    with serve(settings.model_copy(update={"database": database})) as control:
        answer = control.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["detail"] == "the platform's database does not answer"
        assert "unable to open database file" in next(each.reason for each in caplog.records if "database" in each.msg)
        assert control.get("/livez").status_code == 200


@pytest.mark.parametrize("path", [f"/v1/releases/{'a' * 32}", f"/v1/approvals/{'a' * 32}"])
def test_what_is_not_there_is_not_found(control: TestClient, path: str) -> None:
    assert control.get(path).status_code == 404
    action = "approve" if "approvals" in path else "pause"
    assert control.post(f"{path}/{action}", json=WHY, headers=BOB).status_code == 404
