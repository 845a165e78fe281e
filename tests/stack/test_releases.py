"""Versions earn their traffic and lose it again, through the proxy, with requests all the while: none fails."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.stack
Until = Callable[..., Any]
Compose = Callable[..., str]
REGISTER = Path(__file__).with_name("register_digits.py")
ROWS = {"features": [[2.0] + [0.0] * 63]}
"""What version 3 fails at."""
CLIENTS = 3
PAUSE_SECONDS = 0.004
BACK_SECONDS = 20.0
"""From the word to roll back to the last answer of the version that is rolled back, on a machine as busy as may be."""
ENDED = {"succeeded", "rolled_back", "aborted", "failed", "rejected"}
SHORT = [{"weight": 0.3, "seconds": 2, "minimum": 40}, {"weight": 0.6, "seconds": 2, "minimum": 40}]


@dataclass(frozen=True)
class Answer:
    """What a caller was told, and when."""

    ended: float
    status: int
    version: str
    variant: str
    identity: str


@dataclass
class Traffic:
    """Callers who ask again as soon as they are answered, each time as somebody else."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, caller: int) -> None:
        with httpx2.Client(timeout=120) as client:
            for number in range(1_000_000):
                if self.stop.wait(PAUSE_SECONDS):
                    return
                try:
                    answer = client.post(self.url, json=ROWS, headers={"X-Subject-Id": f"{caller}-{number}"})
                except httpx2.TransportError as error:
                    self.faults.append(repr(error))
                    continue
                told = [answer.headers.get(name, "") for name in ("X-Model-Version", "X-Variant", "X-Prediction-Id")]
                self.answers.append(Answer(time.monotonic(), answer.status_code, *told))

    @property
    def failed(self) -> list[object]:
        """Everything that was not answered as it should be."""
        return [*self.faults, *(answer for answer in self.answers if answer.status != 200)]

    def versions(self, last: int = 60) -> set[str]:
        """Return the versions that gave so many answers from now on."""
        first, end = len(self.answers), time.monotonic() + 300
        while len(self.answers) < first + last:
            assert time.monotonic() < end, "there are no answers"
            time.sleep(0.05)
        return {answer.version for answer in self.answers[first:]}


@pytest.fixture(scope="module")
def endpoint(proxy: httpx2.Client, compose: Compose, until: Until) -> str:
    """A model with four versions in the registry, the first of which serves on every replica."""
    name = f"digits-{token_hex(3)}"
    script = REGISTER.read_text("utf-8")
    compose("run", "--rm", "-T", "--workdir", "/srv/masker", "pipelines", "python", "-c", script, name)
    until(lambda: all(predict(proxy, name).status_code == 200 for _ in range(8)))
    return name


@pytest.fixture
def traffic(endpoint: str) -> Iterator[Traffic]:
    port = os.environ.get("STACK_PROXY_PORT", "8080")
    made = Traffic(f"http://127.0.0.1:{port}/v1/endpoints/{endpoint}/predict")
    threads = [threading.Thread(target=made.ask, args=(caller,)) for caller in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stop.set()
        for thread in threads:
            thread.join(120)


def predict(proxy: httpx2.Client, name: str) -> httpx2.Response:
    return proxy.post(f"/v1/endpoints/{name}/predict", json=ROWS)


def post(proxy: httpx2.Client, path: str, content: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = proxy.post(path, json=content, headers={"X-Actor": "ada"})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def release(
    proxy: httpx2.Client, endpoint: str, version: str, steps: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    wanted = {"endpoint": endpoint, "version": version, "reason": "a test", "steps": steps or SHORT}
    return post(proxy, "/v1/releases", wanted, 202)


def ends(proxy: httpx2.Client, until: Until, identity: str, wanted: str) -> dict[str, Any]:
    """Wait for the end of a release, which is to be this one; returns the release."""
    told = until(lambda: (now := proxy.get(f"/v1/releases/{identity}").json())["phase"] in ENDED and now)
    assert told["phase"] == wanted, told
    return dict(told)


def rows(proxy: httpx2.Client, endpoint: str, variant: str, version: str) -> list[dict[str, Any]]:
    asked = f"endpoint={endpoint}&variant={variant}&version={version}&most=1000"
    return list(proxy.get(f"/v1/predictions?{asked}").json()["predictions"])


def counted(compose: Compose, endpoint: str, statement: str) -> int:
    """Ask the table of predictions itself; the name of an endpoint is of letters, digits and a hyphen."""
    asked = f"SELECT count(*) FROM predictions WHERE endpoint = '{endpoint}' AND {statement}"
    return int(compose("exec", "-T", "postgres", "psql", "-U", "masker", "-d", "platform", "-tAc", asked))


def champion(proxy: httpx2.Client, name: str) -> str:
    """Return the version that the platform calls champion."""
    versions = proxy.get(f"/v1/models/{name}").json()["versions"]
    return next(str(each["version"]) for each in versions if "champion" in each["aliases"])


def shown(replica: str) -> str:
    """Return the metrics of one container."""
    asked = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/metrics', timeout=60).read().decode())"
    command = ["docker", "exec", replica, "python", "-I", "-S", "-c", asked]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def audited(proxy: httpx2.Client, identity: str) -> list[str]:
    """Return what the audit log has of a release or an experiment, oldest first, after looking through all of it."""
    assert proxy.get("/v1/audit/verify").json()["whole"] is True
    entries = proxy.get("/v1/audit", params={"subject": identity}).json()["entries"]
    return [entry["action"] for entry in reversed(entries)]


def test_a_version_earns_all_traffic_by_itself_and_loses_it_soon_after_the_word(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, compose: Compose, until: Until
) -> None:
    assert traffic.versions() == {"1"}
    identity = release(proxy, endpoint, "2")["id"]
    ends(proxy, until, identity, "succeeded")
    until(lambda: traffic.versions() == {"2"})
    for replica in compose("ps", "--quiet", "serving").split():
        weight = f'masker_variant_weight{{endpoint="{endpoint}",variant="champion",version="2"}} 1.0'
        until(lambda replica=replica, weight=weight: weight in shown(replica))
    until(lambda: champion(proxy, endpoint) == "2")

    word = time.monotonic()
    post(proxy, f"/v1/releases/{identity}/rollback", {"reason": "a test"})
    ends(proxy, until, identity, "rolled_back")
    until(lambda: traffic.versions() == {"1"})
    last = max(answer.ended for answer in traffic.answers if answer.version == "2")
    assert last - word <= BACK_SECONDS
    traffic.stop.set()
    assert traffic.failed == []

    given = [answer for answer in traffic.answers if answer.variant == "challenger"]
    until(lambda: counted(compose, endpoint, f"release = '{identity}' AND variant = 'challenger'") == len(given))
    for variant, version in (("champion", "1"), ("challenger", "2")):
        found = f"release = '{identity}' AND variant = '{variant}' AND version = '{version}'"
        until(lambda found=found: counted(compose, endpoint, found))
        assert counted(compose, endpoint, f"{found} AND outcome <> 'ok'") == 0
    for answer in given[:: max(1, len(given) // 5)]:
        row = proxy.get(f"/v1/predictions/{answer.identity}").json()
        assert (row["version"], row["variant"], row["status"]) == (answer.version, "challenger", 200)
    told = [f"release.{each}" for each in ("create", "preparing", "running", "running", "promoting", "succeeded")]
    assert audited(proxy, identity) == [*told, "release.rollback", "release.rolled_back"]


def test_a_version_that_fails_is_rolled_back_by_itself_and_no_caller_notices(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, compose: Compose, until: Until
) -> None:
    identity = release(proxy, endpoint, "3")["id"]
    told = ends(proxy, until, identity, "rolled_back")
    assert "candidate's requests failed" in told["note"]
    assert traffic.versions() == {"1"}
    traffic.stop.set()
    assert traffic.failed == []
    assert {answer.version for answer in traffic.answers} == {"1"}
    until(lambda: counted(compose, endpoint, f"release = '{identity}' AND version = '3' AND outcome = 'failed'"))
    assert audited(proxy, identity)[-2:] == ["release.rolling_back", "release.rolled_back"]


def test_a_version_that_is_not_what_was_registered_gets_no_traffic(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, until: Until
) -> None:
    identity = release(proxy, endpoint, "4")["id"]
    assert "cannot be brought" in ends(proxy, until, identity, "failed")["note"]
    assert traffic.versions() == {"1"}
    assert {answer.version for answer in traffic.answers} == {"1"}
    assert traffic.failed == []


def test_a_release_goes_on_after_worker_and_control_were_killed(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, compose: Compose, until: Until
) -> None:
    # Longer than the engine takes to kill two containers: a step that ends before that gives version 2 everything.
    steps = [{"weight": 0.5, "seconds": 20, "minimum": 40}]
    identity = release(proxy, endpoint, "2", steps)["id"]
    until(lambda: traffic.versions(20) == {"1", "2"})
    compose("kill", "--signal", "KILL", "worker", "control")
    try:
        assert traffic.versions(200) == {"1", "2"}
    finally:
        compose("up", "--detach", "--wait", "worker", "control")
    ends(proxy, until, identity, "succeeded")
    until(lambda: traffic.versions() == {"2"})
    post(proxy, f"/v1/releases/{identity}/rollback", {"reason": "a test"})
    ends(proxy, until, identity, "rolled_back")
    until(lambda: traffic.versions() == {"1"})
    assert traffic.failed == []


def test_an_experiment_is_started_exposes_subjects_and_is_stopped(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, compose: Compose, until: Until
) -> None:
    metric = {"name": "errors", "kind": "binary", "source": "error", "baseline": 0.01, "minimum_effect": 0.5}
    wanted = {
        "endpoint": endpoint,
        "reason": "a test",
        "arms": [{"name": "second", "version": "2", "weight": 0.5}],
        "metrics": [metric],
        "subjects_a_day": 1_000_000,
    }
    identity = post(proxy, "/v1/experiments", wanted, 201)["id"]
    post(proxy, f"/v1/experiments/{identity}/start", {})
    until(lambda: traffic.versions() == {"1", "2"})
    # The last look is at what the table has by then.
    for variant in ("champion", "second"):
        exposed_to = f"experiment = '{identity}' AND variant = '{variant}'"
        until(lambda exposed_to=exposed_to: counted(compose, endpoint, exposed_to) >= 50)
    post(proxy, f"/v1/experiments/{identity}/stop", {"reason": "a test"})
    until(lambda: traffic.versions() == {"1"})
    # Traffic goes back first, and then comes that look.
    told = until(lambda: (now := proxy.get(f"/v1/experiments/{identity}").json())["looked"] == now["stopped"] and now)
    assert told["state"] == "stopped"
    subjects = told["look"]["health"]["exposed"]
    assert set(subjects) == {"champion", "second"}
    assert min(subjects.values()) >= 50
    assert traffic.failed == []
    exposed = {row["subject"] for row in rows(proxy, endpoint, "second", "2")}
    assert len(exposed) >= 50
    assert not any("-" in subject for subject in exposed), "subjects are kept as hashes"
    assert counted(compose, endpoint, f"experiment = '{identity}' AND variant = 'second'") >= subjects["second"]
    actions = audited(proxy, identity)
    assert actions[0] == "experiment.create"
    assert "experiment.stop" in actions


def test_without_the_database_a_split_stays_and_no_row_is_lost(
    proxy: httpx2.Client, endpoint: str, traffic: Traffic, compose: Compose, until: Until
) -> None:
    identity = release(proxy, endpoint, "2", [{"weight": 0.5, "seconds": 600, "minimum": 40}])["id"]
    until(lambda: traffic.versions(20) == {"1", "2"})
    compose("stop", "--timeout", "10", "postgres")
    try:
        assert traffic.versions(200) == {"1", "2"}
    finally:
        compose("up", "--detach", "--wait", "postgres", "mlflow")
    until(lambda: proxy.get(f"/v1/releases/{identity}").status_code == 200)
    post(proxy, f"/v1/releases/{identity}/abort", {"reason": "a test"})
    ends(proxy, until, identity, "rolled_back")
    until(lambda: traffic.versions() == {"1"})
    traffic.stop.set()
    assert traffic.failed == []
    given = sum(answer.variant == "challenger" for answer in traffic.answers)
    until(lambda: counted(compose, endpoint, f"release = '{identity}' AND variant = 'challenger'") == given)


def test_a_killed_replica_takes_no_request_with_it(
    proxy: httpx2.Client, ready: Callable[[], bool], traffic: Traffic, compose: Compose, until: Until
) -> None:
    replicas = compose("ps", "--quiet", "serving").split()
    if len(replicas) < 2:
        pytest.skip("one replica runs: SERVING_REPLICAS=2 docker compose up -d --wait")
    traffic.versions(100)
    subprocess.run(["docker", "kill", "--signal", "KILL", replicas[0]], check=True, capture_output=True)
    try:
        traffic.versions(300)
    finally:
        compose("up", "--detach", "--wait", "serving")
    until(ready)
    traffic.versions(100)
    assert traffic.failed == []
