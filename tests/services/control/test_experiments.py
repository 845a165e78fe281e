"""Experiments over HTTP, with the real databases and a folder of bundles."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from mlops.database import Database
from mlops.experiments.store import ExperimentStore
from mlops.experiments.table import TABLES
from mlops.predictions.recorder import database_of
from mlops.predictions.row import new_identity
from mlops.predictions.subject import pseudonym, subject_key
from mlops.predictions.table import PREDICTIONS
from mlops.registry.bundle import point
from mlops.settings import Settings

ADA = {"X-Actor": "ada"}
ERRORS = {"name": "errors", "kind": "binary", "source": "error", "baseline": 0.05, "minimum_effect": 0.5}
SECONDS = {"name": "seconds", "kind": "continuous", "source": "seconds", "baseline": 1.0, "deviation": 1.0}
SLOW = {"name": "slow", "kind": "quantile", "source": "seconds", "deviation": 1e10}
WANTED: dict[str, Any] = {
    "endpoint": "faces", "reason": "fewer errors?", "arms": [{"version": "2"}], "metrics": [ERRORS],
    "subjects_a_day": 5000,
}  # fmt: skip


@pytest.fixture(autouse=True)
def champion(settings: Settings) -> None:
    point(settings.registry.bundles_path, "face-detector", "1", "1" * 64)


def planned(control: TestClient, **changes: object) -> dict[str, Any]:
    answer = control.post("/v1/experiments", json=WANTED | changes, headers=ADA)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def moved(control: TestClient, identity: str, action: str, **body: object) -> Any:
    return control.post(f"/v1/experiments/{identity}/{action}", json=body, headers=ADA)


def test_a_plan_says_what_it_needs_and_starts(control: TestClient) -> None:
    told = planned(control)
    assert (told["state"], told["requested_by"], told["sentence"]) == ("draft", "ada", "It has not been started.")
    assert [(arm["name"], arm["version"], arm["weight"]) for arm in told["arms"]] == [
        ("champion", "1", 0.5), ("challenger", "2", 0.5),
    ]  # fmt: skip
    assert told["needs"]["fits"] is True
    assert told["needs"]["days"] == pytest.approx(told["needs"]["subjects"] / 5000)
    assert moved(control, told["id"], "start").json()["state"] == "running"
    assert control.get(f"/v1/experiments/{told['id']}").json()["sentence"] == "There is no look at it yet."
    assert [each["id"] for each in control.get("/v1/experiments").json()["experiments"]] == [told["id"]]
    assert control.get("/v1/experiments", params={"endpoint": "voices"}).json() == {"experiments": []}


def test_one_that_could_not_end_is_refused_unless_forced(control: TestClient) -> None:
    told = planned(control, subjects_a_day=1)
    refused = moved(control, told["id"], "start")
    assert refused.status_code == 409
    assert "its longest duration is 28.0 days" in refused.json()["detail"]
    assert moved(control, told["id"], "start", force=True).json()["forced"] is True


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"version": "3"}, "2 people must approve of arm challenger"),
        ({"version": "1", "policy": {"threshold": 0.99}}, "release start faces 1 --policy threshold=0.99 -m"),
        ({"version": "3", "policy": {"threshold": 0.1}}, "release start faces 3 --policy threshold=0.1 -m"),
    ],
)
def test_an_arm_that_a_release_would_need_approvals_for_needs_them_too(
    control: TestClient, shelf: Any, asked: dict[str, Any], told: str
) -> None:
    shelf.put("face-detector", "3", risk_level="high")
    identity = planned(control, arms=[asked | {"weight": 0.99}])["id"]

    def released(wanted: dict[str, Any]) -> str:
        answer = control.post("/v1/releases", json={"endpoint": "faces", "reason": "why not?"} | wanted, headers=ADA)
        return str(answer.json()["approval_id"])

    another, same = released({"version": "3", "policy": {"threshold": 0.15}}), released(asked)
    for approval, actor in ((another, "bob"), (another, "eve"), (same, "bob"), (same, "eve")):
        refused = moved(control, identity, "start", force=True)
        assert (refused.status_code, told in refused.json()["detail"]) == (409, True), refused.text
        voted = control.post(f"/v1/approvals/{approval}/approve", json={"reason": "seen"}, headers={"X-Actor": actor})
        assert voted.status_code == 200
    assert moved(control, identity, "start", force=True).json()["state"] == "running"


def test_a_version_that_serves_needs_no_approval_for_what_it_is(control: TestClient, shelf: Any) -> None:
    shelf.put("face-detector", "1", risk_level="high")
    identity = planned(control, arms=[{"policy": {"threshold": 0.1}}])["id"]
    assert moved(control, identity, "start").json()["state"] == "running"


def test_it_is_stopped_and_decided_and_the_audit_log_has_it(control: TestClient) -> None:
    identity = planned(control)["id"]
    assert moved(control, identity, "decide", decision="roll back", reason="no").status_code == 409
    moved(control, identity, "start")
    stopped = moved(control, identity, "stop", reason="enough").json()
    assert stopped["why_stopped"] == "ada: enough"
    assert stopped["sentence"] == "It was stopped before anything was certain.", "and not: wait"
    decided = moved(control, identity, "decide", decision="ship", arm="challenger", reason="it is better").json()
    assert (decided["state"], decided["decision"], decided["arm"]) == ("decided", "ship", "challenger")
    entries = control.get("/v1/audit", params={"subject": identity}).json()["entries"]
    assert {each["action"] for each in entries} == {
        f"experiment.{name}" for name in ("create", "start", "stop", "decide")
    }


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"arms": [{"version": "9"}]}, 404, "no version 9"),
        ({"arms": [{"version": "1", "policy": {"threshold": 9}}]}, 422, "threshold"),
        ({"arms": [{"version": "1"}]}, 422, "differ from the control"),
        ({"arms": [{"version": "2", "weight": 0.7}, {"name": "b", "version": "2", "weight": 0.7}]}, 422, "weight"),
        ({"metrics": [ERRORS | {"source": "mood"}]}, 422, "values come from"),
        ({"metrics": [{"name": "slow", "kind": "quantile", "source": "seconds"}]}, 422, "no past predictions"),
        ({"metrics": [ERRORS | {"kind": "mode"}]}, 422, "metrics.0.kind"),
        ({"longest_days": 31}, 422, "predictions are kept for 30.0 days"),
        ({"endpoint": "voices"}, 409, "no champion"),
        ({"endpoint": "face-detector"}, 404, "use faces"),
        ({"metrics": [SECONDS | {"baseline": 1e200}]}, 422, "baseline is 1e+200"),
        ({"metrics": [SECONDS | {"baseline": 1e-300}]}, 422, "measure it in another unit"),
        ({"metrics": [SECONDS | {"deviation": 1e200}]}, 422, "deviation is 1e+200"),
        ({"metrics": [SECONDS | {"minimum_effect": 1e-300}]}, 422, "minimum_effect is 1e-06 at least"),
        ({"metrics": [SLOW | {"quantile": 1e-300}]}, 422, "quantile is in"),
        ({"metrics": [SLOW | {"deviation": 1e12, "minimum_effect": 1e-6}]}, 422, "give a larger minimum_effect"),
        ({"least_subjects": 10**400}, 422, "least_subjects is 1e+12 at most"),
        ({"arms": [{"version": "2", "weight": 1e-13}]}, 422, "larger weights"),
        ({"endpoint": "voice-masker", "arms": [{"policy": {"style": "disguise"}}]}, 404, "use voices"),
    ],
)
def test_what_makes_no_sense_is_a_problem(
    control: TestClient, changes: dict[str, object], status: int, text: str
) -> None:
    answer = control.post("/v1/experiments", json=WANTED | changes, headers=ADA)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert text in answer.text


def test_strangers_and_strange_parameters_are_refused(control: TestClient) -> None:
    assert control.post("/v1/experiments", json=WANTED).status_code == 422
    assert control.get("/v1/experiments?endpiont=faces").status_code == 422
    assert "use faces" in control.get("/v1/experiments?endpoint=face-detector").json()["detail"]
    assert control.get(f"/v1/experiments/{'0' * 32}").status_code == 404


def test_the_past_says_what_the_plan_expects(control: TestClient, settings: Settings) -> None:
    now = time.time()
    rows = [
        {
            "time": now - 3600 + number, "identity": new_identity(), "endpoint": "faces", "model": "face-detector",
            "version": "1", "variant": "champion", "release": "", "experiment": "", "subject": "",
            "outcome": "failed" if number % 10 == 0 else "ok", "status": 200, "seconds": 0.01 * (1 + number % 7),
            "stages": {}, "counts": {}, "faces": None, "cache": "", "shadow": False,
        }
        for number in range(1000)
    ]  # fmt: skip
    predictions = database_of(settings.predictions)
    with predictions.transaction() as connection:
        connection.execute(sa.insert(PREDICTIONS), rows)
    predictions.close()
    metrics = [
        {"name": "errors", "kind": "binary", "source": "error", "minimum_effect": 0.5},
        {"name": "slow", "kind": "quantile", "source": "seconds", "role": "guardrail"},
    ]
    told = planned(control, metrics=metrics, subjects_a_day=None)
    assert told["needs"]["needs"]["errors"]["effect"] == pytest.approx(0.1 * 0.5)
    assert told["needs"]["days"] == pytest.approx(told["needs"]["subjects"] / (1000 * 24), rel=0.1)


def test_outcomes_are_kept_under_the_hash_that_rows_have(control: TestClient, settings: Settings) -> None:
    kept = {"name": "kept", "kind": "binary", "source": "outcome.kept", "better": "higher", "baseline": 0.5}
    identity = planned(control, metrics=[kept], window_seconds=600)["id"]
    said = {"subject": "ada@example.org", "name": "kept", "value": 1, "time": "2026-01-01T00:00:00Z"}
    assert moved(control, identity, "outcomes", outcomes=[said]).status_code == 409
    moved(control, identity, "start")
    assert moved(control, identity, "outcomes", outcomes=[said, said | {"value": 0}]).json() == {"taken": 1}
    assert moved(control, identity, "outcomes", outcomes=[said]).json() == {"taken": 0}
    for value in ("NaN", 1e200, -1.1e12):
        refused = moved(control, identity, "outcomes", outcomes=[said | {"value": value}])
        assert (refused.status_code, "outcomes.0.value" in refused.text) == (422, True)
    database = Database(settings.database, TABLES)
    outcome = ExperimentStore(database).outcomes(identity)[0]
    database.close()
    key = subject_key(settings.cache.read_secret(), settings.predictions.spool_path)
    assert (outcome.subject, outcome.value) == (pseudonym("ada@example.org", key), 1.0)
    assert outcome.time == pytest.approx(1767225600.0)


def test_a_platform_without_its_database_says_so(
    serve: Callable[[Settings], Any], settings: Settings, tmp_path: object
) -> None:
    away = settings.model_copy(
        update={
            "database": settings.database.model_copy(
                update={"url": type(settings.database.url)("sqlite:////proc/x/y.db")}
            )
        }
    )
    with serve(away) as control:
        assert control.get("/v1/experiments").status_code == 503
