"""`masker experiment` against the real platform API on a port of this machine."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.settings import Settings, load_settings

ERRORS = ("--metric", "errors=binary:error,minimum_effect=0.5,baseline=0.05")
START = ("start", "faces", "--version", "2", "--reason", "fewer errors?", *ERRORS)


@pytest.fixture
def masker(
    tmp_path: Path, serve_platform: Callable[[Settings], AbstractContextManager[str]]
) -> Iterator[Callable[..., Result]]:
    places = {
        "DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        "PREDICTIONS__URL": f"sqlite:///{tmp_path}/predictions.db",
        "PREDICTIONS__SPOOL_PATH": str(tmp_path / "spool"),
        "REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
    }
    settings = load_settings(environ={f"MASKER_{name}": value for name, value in places.items()})
    with serve_platform(settings) as url:
        yield lambda *arguments: CliRunner().invoke(app, ["experiment", *arguments, "--url", url])


def test_it_says_what_it_needs_and_refuses_what_could_not_end(masker: Callable[..., Result]) -> None:
    refused = masker(*START, "--as", "ada")
    assert refused.exit_code == 1
    assert "subjects, which never come" in refused.stderr
    assert "force it" in refused.stderr
    assert "it needs" in masker(*START, "--as", "ada", "--draft").stdout


def test_from_start_to_decision(masker: Callable[..., Result], tmp_path: Path) -> None:
    started = masker(*START, "--as", "ada", "--force", "--policy", "threshold=0.1", "--json")
    assert started.exit_code == 0, started.output
    told = json.loads(started.stdout)
    assert told["state"] == "running"
    assert told["arms"][1]["policy"] == {"threshold": 0.1}
    shown = masker("status", "faces").stdout
    assert "champion (version 1, 50%) against challenger (version 2, 50%): running" in shown
    assert "There is no look at it yet." in shown
    assert told["id"][:8] in masker("list").stdout
    stopped = masker("stop", told["id"][:8], "--reason", "enough", "--as", "ada")
    assert "stopped: ada: enough" in stopped.stdout
    decided = masker("decide", "faces", "--reason", "it is better", "--ship", "challenger", "--as", "ada")
    assert ": decided: ship challenger" in decided.stdout


def test_a_file_says_the_rest(masker: Callable[..., Result], tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    arms = [
        {"name": name, "version": "2", "weight": 0.25, "policy": {"threshold": t}}
        for name, t in (("a", 0.2), ("b", 0.1))
    ]
    plan.write_text(json.dumps({"arms": arms, "subjects_a_day": 9000, "longest_days": 14}))
    told = json.loads(
        masker("start", "faces", "--reason", "why", *ERRORS, "--plan", str(plan), "--json", "--as", "ada").stdout
    )
    assert [arm["name"] for arm in told["arms"]] == ["champion", "a", "b"]
    assert told["state"] == "running"


@pytest.mark.parametrize("metric", ["errors", "errors=binary", "errors=binary:error,minimum_effect"])
def test_a_metric_that_cannot_be_read_is_wrong_usage(closed_port: int, metric: str) -> None:
    started = ["experiment", "start", "faces", "--reason", "why", "--version", "2", "--metric", metric]
    ended = CliRunner().invoke(app, [*started, "--url", f"http://127.0.0.1:{closed_port}"])
    assert (ended.exit_code, "NAME=" in ended.stderr) == (2, True)


def test_a_number_that_nobody_can_plan_with_is_told(masker: Callable[..., Result]) -> None:
    metric = ("--metric", "a=continuous:seconds,baseline=1e300,deviation=1")
    ended = masker("start", "faces", "--version", "2", "--reason", "why", *metric, "--as", "ada")
    assert (ended.exit_code, "baseline is 1e+300" in ended.stderr) == (1, True)


def test_what_is_not_there_is_told(masker: Callable[..., Result], tmp_path: Path) -> None:
    nothing = masker("status", "faces")
    assert nothing.exit_code == 1
    assert "had no experiment yet" in nothing.stderr
    assert masker("start", "faces", "--reason", "why", "--plan", str(tmp_path / "none.json")).exit_code == 2


@pytest.mark.parametrize(
    ("subjects_a_day", "told"),
    [(1e9, "less than an hour"), (9000, "about 8.2 hours"), (1000, "about 3.1 days"), (0.001, "which never come")],
)
def test_how_long_it_takes_is_told_in_what_people_reckon_in(
    masker: Callable[..., Result], tmp_path: Path, subjects_a_day: float, told: str
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"subjects_a_day": subjects_a_day}))
    assert f"subjects, {told}; " in masker(*START, "--plan", str(plan), "--draft", "--as", "ada").stdout
