"""`masker experiment` against the real platform API on a port of this machine."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.metrics import Metrics
from mlops.registry.bundle import point
from mlops.registry.errors import UnknownVersion
from mlops.registry.version import Version
from mlops.settings import load_settings
from services.asgi.app import create_app
from services.control.app import control_part

ERRORS = ("--metric", "errors=binary:error,minimum_effect=0.5,baseline=0.05")
START = ("start", "faces", "--version", "2", "--reason", "fewer errors?", *ERRORS)


class TwoVersions:
    """A registry that has versions 1 and 2 of everything."""

    def names(self) -> list[str]:
        return ["face-detector"]

    def versions(self, name: str) -> list[Version]:
        return [self.resolve(name, "1")]

    def resolve(self, name: str, wanted: str) -> Version:
        if wanted not in ("1", "2"):
            raise UnknownVersion(f"{name} has no version {wanted}")
        return Version(name, wanted, wanted * 64, {}, (), "", 0)


@pytest.fixture
def masker(tmp_path: Path) -> Iterator[Callable[..., Result]]:
    root = tmp_path / "bundles"
    point(root, "face-detector", "1", "1" * 64)
    places = {
        "DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        "PREDICTIONS__URL": f"sqlite:///{tmp_path}/predictions.db",
        "PREDICTIONS__SPOOL_PATH": str(tmp_path / "spool"),
        "REGISTRY__BUNDLES_PATH": str(root),
    }
    settings = load_settings(environ={f"MASKER_{name}": value for name, value in places.items()})
    api = create_app(settings, Metrics(), [control_part(settings, TwoVersions())], "control")
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["experiment", *arguments, "--url", url])

    yield run
    server.should_exit = True
    thread.join()


def test_it_says_what_it_needs_and_refuses_what_could_not_end(masker: Callable[..., Result]) -> None:
    refused = masker(*START, "--as", "ada")
    assert refused.exit_code == 1
    assert "subjects, which never come" in refused.stderr
    assert "force it" in refused.stderr
    assert "it needs" in masker(*START, "--as", "ada", "--draft").stdout


def test_from_start_to_decision(masker: Callable[..., Result], tmp_path: Path) -> None:
    started = masker(*START, "--as", "ada", "--force", "--policy", "threshold=0.3", "--json")
    assert started.exit_code == 0, started.output
    told = json.loads(started.stdout)
    assert told["state"] == "running"
    assert told["arms"][1]["policy"] == {"threshold": 0.3}
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
        for name, t in (("a", 0.2), ("b", 0.3))
    ]
    plan.write_text(json.dumps({"arms": arms, "subjects_a_day": 9000, "longest_days": 14}))
    told = json.loads(
        masker("start", "faces", "--reason", "why", *ERRORS, "--plan", str(plan), "--json", "--as", "ada").stdout
    )
    assert [arm["name"] for arm in told["arms"]] == ["champion", "a", "b"]
    assert told["state"] == "running"


@pytest.mark.parametrize("metric", ["errors", "errors=binary", "errors=binary:error,minimum_effect"])
def test_a_metric_that_cannot_be_read_is_wrong_usage(masker: Callable[..., Result], metric: str) -> None:
    assert masker("start", "faces", "--reason", "why", "--version", "2", "--metric", metric).exit_code == 2


def test_what_is_not_there_is_told(masker: Callable[..., Result], tmp_path: Path) -> None:
    nothing = masker("status", "faces")
    assert nothing.exit_code == 1
    assert "had no experiment yet" in nothing.stderr
    assert masker("start", "faces", "--reason", "why", "--plan", str(tmp_path / "none.json")).exit_code == 2
