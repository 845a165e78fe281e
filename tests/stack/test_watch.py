"""The stack is watched: every target answers, every rule is loaded, every panel shows something."""

import json
import time
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULE_TESTS = sorted((ROOT / "configs" / "prometheus" / "tests").glob("*.yml"))
JOBS = {"serving", "control", "worker", "redis", "postgres", "node", "prometheus", "alertmanager"}


def ask(prometheus: httpx2.Client, query: str) -> list[dict[str, Any]]:
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", f"{query}: {answer}"
    return answer["data"]["result"]


def test_every_target_is_reached(prometheus: httpx2.Client, until: Callable[..., Any], proxy: httpx2.Client) -> None:
    def settled() -> bool:
        targets = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"} == JOBS

    until(settled)


def test_all_rules_are_loaded_and_evaluated_without_error(prometheus: httpx2.Client, until: Callable[..., Any]) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()))
    names = {rule["name"] for rule in rules()}
    assert {"ErrorBudgetBurn", "NoReplicaReady", "TargetDown", "RedisDown", "ModelSwapFailing", "JobsNotDone"} <= names


def test_the_rules_pass_their_unit_tests(compose: Callable[..., str]) -> None:
    told = compose("exec", "-T", "prometheus", "sh", "-c", "promtool test rules /etc/prometheus/tests/*.yml 2>&1")
    assert told.count("SUCCESS") == len(RULE_TESTS)


def test_prometheus_has_found_alertmanager(prometheus: httpx2.Client, alertmanager: httpx2.Client) -> None:
    assert prometheus.get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
    assert alertmanager.get("/api/v2/status").json()["config"]["original"]


def test_grafana_takes_what_is_provisioned(grafana: httpx2.Client) -> None:
    assert grafana.get("/api/health").status_code == 200


def silent(board: Path, prometheus: httpx2.Client) -> list[tuple[str, str]]:
    """Name the panels, with their queries, that get no answer or none that is a number."""
    found = []
    for panel in json.loads(board.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "1m")
            values = [float(series["value"][1]) for series in ask(prometheus, query)]
            if not values or any(isnan(value) for value in values):
                found.append((panel["title"], query))
    return found


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board.stem)
def test_every_query_of_every_panel_answers_under_traffic(
    board: Path, prometheus: httpx2.Client, proxy: httpx2.Client, new_photo: Callable[[], bytes]
) -> None:
    # A rate needs two scrapes, 10 s apart; after a restart, all series begin anew.
    end = time.monotonic() + 300
    while found := silent(board, prometheus):
        assert time.monotonic() < end, found
        photo = new_photo()
        for _ in range(2):
            answer = proxy.post("/v1/mask/image", content=photo, headers={"Content-Type": "image/jpeg"})
            assert answer.status_code == 200
        time.sleep(1)
