"""`masker release`, `approvals` and `audit` against the real platform API on a port of this machine."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.platform import Platform, PlatformError
from mlops.database import Database
from mlops.registry.bundle import point
from mlops.rollout import state
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings, load_settings

START = ("release", "start", "faces", "2", "--reason", "finds more", "--as", "ada")


def settings_in(folder: Path) -> Settings:
    places = {"DATABASE__URL": f"sqlite:///{folder}/platform.db", "REGISTRY__BUNDLES_PATH": str(folder / "bundles")}
    return load_settings(environ={f"MASKER_{name}": value for name, value in places.items()})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def url(settings: Settings, serve_platform: Callable[[Settings], AbstractContextManager[str]]) -> Iterator[str]:
    with serve_platform(settings) as address:
        yield address


@pytest.fixture(scope="module")
def idle(
    tmp_path_factory: pytest.TempPathFactory, serve_platform: Callable[[Settings], AbstractContextManager[str]]
) -> Iterator[str]:
    """A platform at which nothing was ever released."""
    with serve_platform(settings_in(tmp_path_factory.mktemp("idle"))) as address:
        yield address


@pytest.fixture
def masker(url: str) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", url])

    return run


@pytest.fixture
def loop(settings: Settings) -> Iterator[Callable[..., None]]:
    """Do moves of the release loop to the newest release."""
    database = Database(settings.database, TABLES)
    store = ReleaseStore(database)

    def act(*moves: Callable[..., state.Release]) -> None:
        for move in moves:
            store.act(store.list(most=1)[0].identity, "loop", move.__name__, move)

    yield act
    database.close()


def test_a_release_is_started_moved_and_taken_back(
    masker: Callable[..., Result], loop: Callable[..., None], url: str
) -> None:
    started = masker(*START, "--step", "0.1:60:5", "--step", "0.5:inf:5", "--policy", "threshold=0.1")
    assert started.exit_code == 0, started.output
    assert "faces version 2 over 1, canary: queued, step 1 of 2, 0 % of the traffic" in started.stdout
    loop(state.prepare, state.start)
    told = json.loads(masker("release", "status", "faces", "--json").stdout)
    assert (told["weight"], told["policy"], told["requested_by"]) == (0.1, {"threshold": 0.1}, "ada")
    short = told["id"][:8]
    assert "50 % of the traffic" in masker("release", "promote", short, "-m", "well").stdout
    assert "paused" in masker("release", "pause", told["id"], "-m", "lunch").stdout
    refused = masker("release", "promote", "faces", "-m", "well")
    assert (refused.exit_code, "paused cannot go on" in refused.stderr) == (1, True)
    assert "running" in masker("release", "resume", "faces", "-m", "back").stdout
    assert "promoting, 100 %" in masker("release", "promote-full", "faces", "-m", "well").stdout
    assert "rolling back, 0 %" in masker("release", "rollback", "faces", "-m", "no").stdout
    assert masker("release", "list").stdout.count("\n") == 1
    log = masker("audit", "--subject", told["id"]).stdout.splitlines()
    assert ["release.create" in line for line in log] == [False] * (len(log) - 1) + [True]
    assert "whole" in masker("audit", "--verify").stdout
    noted = masker("audit", "--verify", "--noted", "e" * 64)
    assert (noted.exit_code, "breaks the chain" in noted.stdout) == (4, True)


def test_a_rolling_release_tells_its_share_of_the_replicas(
    masker: Callable[..., Result], loop: Callable[..., None]
) -> None:
    masker(*START, "--strategy", "rolling")
    loop(state.prepare, state.start)
    assert "25 % of the replicas, rounded up" in masker("release", "status", "faces").stdout
    assert "100 % of the traffic" in masker("release", "promote-full", "faces", "-m", "well").stdout


def test_an_endpoint_means_the_release_that_has_its_traffic(
    masker: Callable[..., Result], loop: Callable[..., None]
) -> None:
    masker(*START, "--strategy", "blue-green")
    loop(state.prepare, state.start)
    running = json.loads(masker("release", "status", "faces", "--json").stdout)["id"]
    masker(*START)
    assert masker("release", "status", "faces").stdout.startswith(f"{running[:8]}  "), "another one waits in line"
    assert masker("release", "pause", "faces", "-m", "look").stdout.startswith(running[:8])
    assert masker("release", "rollback", "faces", "-m", "customers complain").stdout.startswith(running[:8])


def test_an_endpoint_may_be_called_by_hex_digits(masker: Callable[..., Result], settings: Settings) -> None:
    point(settings.registry.bundles_path, "facade", "1", "1" * 64)
    masker(*START)
    told = masker("release", "start", "facade", "2", "--reason", "finds more", "--as", "ada", "--json")
    identity = json.loads(told.stdout)["id"]
    for which in ("facade", identity[:8], identity):
        shown = masker("release", "status", which)
        assert shown.stdout.startswith(f"{identity[:8]}  facade version 2 over 1"), shown.output
    assert "aborted" in masker("release", "abort", "facade", "-m", "no").stdout


def test_what_is_taken_back_is_what_made_the_champion(masker: Callable[..., Result], loop: Callable[..., None]) -> None:
    masker(*START, "--strategy", "blue-green")
    loop(state.prepare, state.start, state.advance, state.succeed)
    done = json.loads(masker("release", "status", "faces", "--json").stdout)["id"]
    masker(*START, "--risk", "high")
    assert "pending approval" in masker("release", "status", "faces").stdout
    back = masker("release", "rollback", "faces", "-m", "customers complain")
    assert (back.exit_code, back.stdout[:8]) == (0, done[:8]), back.stderr


def test_who_waits_is_told_of_every_change_and_how_it_ended(
    masker: Callable[..., Result], loop: Callable[..., None]
) -> None:
    masker(*START, "--strategy", "blue-green")
    moves = threading.Timer(0.5, loop, (state.prepare, state.start, state.advance, state.succeed))
    moves.start()
    waited = masker("release", "status", "faces", "--wait")
    moves.join()
    assert waited.exit_code == 0
    assert waited.stdout.splitlines()[-1].count("succeeded, 100 % of the traffic") == 1
    masker(*START)
    masker("release", "abort", "faces", "-m", "no")
    assert masker("release", "status", "faces", "--wait").exit_code == 1


def test_who_waits_is_not_told_of_every_figure(
    masker: Callable[..., Result],
    settings: Settings,
    loop: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cli.releases.WATCH_SECONDS", 0.02)
    monkeypatch.setattr("cli.releases.FIGURES_SECONDS", float("inf"))
    masker(*START, "--strategy", "blue-green")
    loop(state.prepare, state.start)

    def go_on() -> None:
        database = Database(settings.database, TABLES)
        store = ReleaseStore(database)
        for count in range(20):
            store.note(store.list(most=1)[0], f"the candidate has had {count} of at least 200 requests")
            time.sleep(0.1)
        loop(state.advance, state.succeed)
        database.close()

    going = threading.Thread(target=go_on)
    going.start()
    told = masker("release", "status", "faces", "--wait").stdout.splitlines()
    going.join()
    assert len(told) <= 4, "as it is, the first figures, promoting, succeeded"
    assert "succeeded" in told[-1]


def test_people_approve_of_what_is_risky(masker: Callable[..., Result]) -> None:
    started = masker(*START, "--risk", "medium")
    assert "pending approval" in started.stdout
    waiting = masker("approvals", "list").stdout
    short = waiting.split()[0]
    assert f"masker approvals approve {short}" in started.stdout
    own = masker("approvals", "approve", short, "-m", "fine", "--as", "ada")
    assert (own.exit_code, "nobody decides on his own release" in own.stderr) == (1, True)
    assert (
        "approved, 1 of 1 votes (bob approved)"
        in masker("approvals", "approve", short, "-m", "ok", "--as", "bob").stdout
    )
    assert masker("approvals", "list").stdout == ""
    assert short in masker("approvals", "list", "--all").stdout
    masker(*START, "--risk", "high")
    newest = masker("approvals", "list").stdout.split()[0]
    assert "rejected" in masker("approvals", "reject", newest, "-m", "no", "--as", "bob").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("release", "start", "faces", "9", "-m", "x"), 1, "no version 9"),
        (("release", "start", "faces", "2"), 2, "--reason"),
        (("release", "start", "faces", "2", "-m", "x", "--step", "0.1:60"), 2, "WEIGHT:SECONDS:REQUESTS"),
        (("release", "start", "faces", "2", "-m", "x", "--policy", "threshold"), 2, "NAME=VALUE"),
        (("release", "start", "faces", "2", "-m", "x", "--strategy", "yolo"), 1, "strategy"),
        (("release", "start", "faces", "2", "-m", "x", "--as", "not a name"), 1, "64 of a-z"),
        (("release", "start", "faces", "2", "-m", "x", "--as", "Zoë"), 1, "64 of a-z"),
        (("release", "start", "faces", "2", "-m", "x", "--as", ""), 1, "64 of a-z"),
        (("release", "status", "voices"), 1, "voices had no release yet"),
        (("release", "status", "abcdef"), 1, "no release of late has an id that begins with abcdef"),
        (("release", "status", "a" * 32), 1, "no release"),
        (("approvals", "approve", "abcdef", "-m", "x"), 1, "no request for approval of late"),
    ],
)
def test_what_cannot_be_done_is_told_on_standard_error(
    idle: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    ended = CliRunner().invoke(app, [*arguments, "--url", idle])
    assert ended.exit_code == code
    assert told in ended.stderr
    assert ended.stdout == ""


def test_a_platform_that_does_not_run_is_told_with_what_to_do(closed_port: int) -> None:
    ended = CliRunner().invoke(app, ["release", "list", "--url", f"http://127.0.0.1:{closed_port}"])
    assert ended.exit_code == 1
    assert "make run" in ended.stderr


def test_the_address_is_that_of_the_settings_unless_given(idle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKER_PLATFORM__URL", idle)
    assert CliRunner().invoke(app, ["release", "list"]).exit_code == 0


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    ended = CliRunner().invoke(app, ["audit", "--url", url])
    assert (ended.exit_code, "http://" in ended.stderr) == (1, True)


class Stranger(http.server.BaseHTTPRequestHandler):
    """A server that is no platform: its answer is what the path says."""

    def do_GET(self) -> None:
        status, body = {"/page": (200, b"<html>"), "/list": (200, b"[1]"), "/teapot": (418, b"short and stout")}[
            self.path
        ]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.parametrize(
    ("path", "told", "status"),
    [("/page", "no platform API", 0), ("/list", "no platform API", 0), ("/teapot", "the answer was 418", 418)],
)
def test_an_answer_that_is_none_of_the_platforms_is_told_as_such(path: str, told: str, status: int) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PlatformError, match=told) as caught:
            Platform(f"http://127.0.0.1:{server.server_port}", "ada").get(path)
        server.shutdown()
    assert caught.value.status == status
