"""What the stack's files promise; no engine is needed for these."""

import json
import re
from pathlib import Path

import pytest
import yaml

from grafana.generate import DASHBOARDS, rendered

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
BOARDS = ROOT / "grafana" / "dashboards"
RULES = sorted((ROOT / "configs/prometheus/rules").glob("*.yml"))
TESTS = sorted((ROOT / "configs/prometheus/tests").glob("*.yml"))
DOCKERFILES = sorted((ROOT / "services").glob("*/Dockerfile"))
ONE_SHOT = {"database", "secrets", "pipelines"}
FETCHED = re.compile(r"^FROM (\S+)", re.MULTILINE)


def alerts() -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], []).append(rule)
    return found


def anchors(markdown: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert "privileged" not in service
    assert not any(str(volume).startswith("/") for volume in service.get("volumes", []))
    if name != "secrets":
        assert service["mem_limit"]
        assert service["pids_limit"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_every_lasting_service_restarts_and_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["init"] is True
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["healthcheck"]["start_interval"]


def test_only_the_proxy_has_a_way_out_and_only_loopback_a_way_in() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name, service in SERVICES.items():
        if name == "secrets":
            assert service["network_mode"] == "none"
        elif name == "proxy":
            assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        else:
            assert service["networks"] == ["inside"]
            assert "ports" not in service


def test_every_image_has_a_version_and_none_asks_for_a_front_end() -> None:
    for service in SERVICES.values():
        assert "build" in service or re.search(r":v?\d+(\.\d+)*(-alpine)?$", service["image"]), service["image"]
    for path in DOCKERFILES:
        text = path.read_text("utf-8")
        assert set(FETCHED.findall(text)) == {"python:3.11-slim"}
        assert "# syntax" not in text
        assert "USER 10001:10001" in text


def test_the_committed_dashboards_are_the_generated_ones() -> None:
    folder = ROOT / "grafana" / "dashboards"
    assert {path.name for path in folder.iterdir()} == set(DASHBOARDS)
    for name, make in DASHBOARDS.items():
        assert (folder / name).read_text("utf-8") == rendered(make()), "run: make dashboards"


def test_panels_have_numbers_letters_and_the_provisioned_source() -> None:
    for name in DASHBOARDS:
        panels = json.loads((ROOT / "grafana" / "dashboards" / name).read_text("utf-8"))["panels"]
        assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
        for panel in panels:
            assert panel["title"]
            if panel["type"] == "row":
                continue
            assert panel["description"]
            assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}


def asked() -> set[str]:
    """Every expression of a panel, a rule or an alert."""
    panels = [panel for name in DASHBOARDS for panel in json.loads((BOARDS / name).read_text("utf-8"))["panels"]]
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    shown = {target["expr"] for panel in panels for target in panel.get("targets", [])}
    return shown | {rule["expr"] for group in groups for rule in group["rules"]}


def test_every_metric_that_is_asked_for_is_one_that_the_code_has() -> None:
    sources = [path for folder in ("mlops", "services") for path in (ROOT / folder).rglob("*.py")]
    there = {name for path in sources for name in re.findall(r'"(masker_[a-z_]+)"', path.read_text("utf-8"))}
    # A counter's name may be given without its ending, and a histogram is asked for by its parts.
    there |= {f"{name}{part}" for name in there for part in ("_total", "_bucket", "_count", "_sum")}
    named = {name for expression in asked() for name in re.findall(r"(?<![:\w])masker_[a-z_]+", expression)}
    assert len(named) > 40
    assert named - there == set()


@pytest.mark.parametrize(
    "name",
    [
        "masker_releases_open",
        "masker_variant_weight",
        "masker_variant_requests_total",
        "masker_variant_seconds_bucket",
        "masker_model_swaps_total",
        "masker_experiments_open",
        "masker_experiment_subjects",
        "masker_experiment_sample_ratio_p",
        "masker_predictions_written_total",
        "masker_predictions_lost_total",
        "masker_predictions_spool_bytes",
        "masker_predictions_landed_seconds",
        "masker_captures_total",
        "masker_captures_room_bytes",
        "masker_judged_faces_total",
        "masker_round_success_seconds",
    ],
)
def test_what_a_release_hangs_on_is_shown(name: str) -> None:
    panels = json.loads((BOARDS / "releases.json").read_text("utf-8"))["panels"]
    assert any(name in target["expr"] for panel in panels for target in panel.get("targets", []))


def test_no_two_panels_of_a_dashboard_lie_over_each_other() -> None:
    for name in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads((BOARDS / name).read_text("utf-8"))["panels"]:
            place = panel["gridPos"]
            columns = range(place["x"], place["x"] + place["w"])
            cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, (name, panel["title"])
            taken |= cells


@pytest.mark.parametrize("name", ["masker_jobs_", "masker_job_seconds", "masker_live_"])
def test_what_outlasts_a_request_is_shown(name: str) -> None:
    panels = json.loads((ROOT / "grafana" / "dashboards" / "overview.json").read_text("utf-8"))["panels"]
    row = next(place for place, panel in enumerate(panels) if panel["title"] == "Jobs and live")
    end = next(place for place in range(row + 1, len(panels)) if panels[place]["type"] == "row")
    assert any(name in target["expr"] for panel in panels[row + 1 : end] for target in panel["targets"])


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_to_do_and_is_tested(name: str) -> None:
    runbook = anchors((ROOT / "docs" / "runbook.md").read_text("utf-8"))
    tested = [case for path in TESTS for case in yaml.safe_load(path.read_text("utf-8"))["tests"]]
    cases = [test for case in tested for test in case.get("alert_rule_test", []) if test["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)
    for rule in alerts()[name]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in runbook
