"""From a registered version to all of the traffic and back: real MLflow, database, worker, control; serving is played.

What plays serving does what serving does: it reads the local files, answers by them, and records a row of each answer.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import mlflow
import pytest
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.predictions.recorder import Recorder
from mlops.predictions.row import FAILED, OK, Prediction, new_identity
from mlops.registry.bundle import installed, write_manifest
from mlops.registry.errors import RegistryError
from mlops.registry.mlflow import Registry
from mlops.registry.version import Version
from mlops.rollout.router import choose
from mlops.rollout.traffic import CHALLENGER, effective
from mlops.settings import Settings, load_settings
from services.asgi.app import Part, create_app
from services.control.app import control_part
from services.control.lookup import lookup_of
from services.worker.app import worker_part
from services.worker.duties import duties
from services.worker.rounds import rounds_part
from tests.patience import PATIENCE_SECONDS, until

HOST = "http://127.0.0.1:8000"
MODEL = "demo"
ADA = {"X-Actor": "ada"}
STEPS = [{"weight": weight, "seconds": 0.5, "minimum": 10} for weight in (0.3, 0.6)]
WANTED = {"endpoint": MODEL, "version": "2", "reason": "better", "steps": STEPS}
REPLICAS = pytest.mark.parametrize("traffic", [("one",), ("one", "two")], ids=["one", "two"], indirect=True)
ROLLING = WANTED | {
    "strategy": "rolling",
    "steps": [{"weight": share, "seconds": 0.5, "minimum": 10} for share in (0.25, 0.5, 1.0)],
}
BEFORE = 100
"""Answers of the champion before anything else happens: a release of all replicas is held against them."""
# Only the rounds, as `services.worker` runs them, without the import of MLflow: what one cannot do the next one tries.
ROUNDS = """
import time
from contextlib import suppress
from mlops.database import DatabaseAway
from mlops.metrics import Metrics
from mlops.settings import load_settings
from services.worker.duties import duties
releases = next(each for each in duties(load_settings(), Metrics()) if each.name == "releases")
while True:
    with suppress(DatabaseAway):
        releases.run()
    time.sleep(0.05)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
        "MASKER_REGISTRY__POLL_SECONDS": "0.1",
        "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/predictions.db",
        "MASKER_PREDICTIONS__SPOOL_PATH": str(tmp_path / "spool"),
        "MASKER_PREDICTIONS__PARQUET_PATH": str(tmp_path / "lake"),
        "MASKER_PREDICTIONS__FLUSH_SECONDS": "0.05",
        "MASKER_CAPTURE__PATH": str(tmp_path / "captures"),
        "MASKER_ROLLOUT__TICK_SECONDS": "0.05",
        "MASKER_ROLLOUT__GUARD_SECONDS": "0.1",
    }


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings(environ=environment)


@pytest.fixture
def registry(settings: Settings, empty_registry: Path, tmp_path: Path) -> Registry:
    """A registry with two versions of a small model, the first of which is champion."""
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    uri = settings.registry.tracking_uri
    registry = Registry(uri)
    mlflow.create_experiment("made", (tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("made")
    for version in ("1", "2"):
        folder = tmp_path / f"made-{version}"
        folder.mkdir()
        for file in ("model.onnx", "golden.npz", "signature.json"):
            (folder / file).write_text(version)
        digest = write_manifest(folder, MODEL, "onnx", {"fp32": "model.onnx"}, "golden.npz", signature="signature.json")
        with mlflow.start_run() as run:
            mlflow.log_artifacts(str(folder), "bundle")
        registry.register(MODEL, run.info.run_id, "bundle", digest, {})
    registry.promote(MODEL, "1")
    registry.pull(MODEL, settings.registry.bundles_path)
    return registry


@dataclass
class Traffic:
    """Plays serving, in a thread: requests of one subject after the other, answered as the local files say."""

    settings: Settings
    replicas: tuple[str, ...] = ("replica",)
    bad: float = 0.0
    answered: dict[str, int] = field(default_factory=dict)
    changed: dict[float, set[str]] = field(default_factory=dict)
    """Replicas that have answered by the candidate, by its weight."""
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        recorders = {name: Recorder(self.settings.predictions, Metrics(), replica=name) for name in self.replicas}
        for recorder in recorders.values():
            recorder.open()
        turns = cycle(recorders)
        rng = random.Random(7)
        while not self.ended.wait(0.002):
            split = effective(self.settings.registry.bundles_path, MODEL)
            assert split is not None
            subject = f"subject-{rng.random()}"
            replica = next(turns)
            variant = choose(split, subject, replica)
            if variant.name == CHALLENGER:
                self.changed.setdefault(variant.weight, set()).add(replica)
            failed = variant.name == CHALLENGER and rng.random() < self.bad
            self.answered[variant.version] = self.answered.get(variant.version, 0) + 1
            row = Prediction(
                new_identity(), time.time(), MODEL, MODEL, variant.version, variant.name, split.release, "", subject,
                FAILED if failed else OK, 500 if failed else 200, 0.01 * rng.uniform(0.9, 1.1),
            )  # fmt: skip
            recorders[replica].record(row)
        for recorder in recorders.values():
            recorder.close()


@pytest.fixture
def traffic(settings: Settings, registry: Registry, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    playing = Traffic(settings, getattr(request, "param", ("replica",)))
    thread = threading.Thread(target=playing.run)
    thread.start()
    try:
        until(lambda: playing.answered.get("1", 0) >= BEFORE)
        yield playing
    finally:
        playing.ended.set()
        thread.join()


@contextmanager
def platform(settings: Settings, *parts: Callable[[Settings, Metrics], Part]) -> Iterator[TestClient]:
    """Run control and other parts of the platform in one app."""
    metrics = Metrics()
    control = control_part(settings, lookup_of(settings.registry.tracking_uri))
    app = create_app(settings, metrics, [control, *(part(settings, metrics) for part in parts)], "platform")
    with TestClient(app, HOST) as client:
        yield client


def rounds(settings: Settings, metrics: Metrics) -> Part:
    # The end waits for what runs, so that nothing of it goes on beside the next test.
    return rounds_part(duties(settings, metrics), metrics, PATIENCE_SECONDS)


def told_of(client: TestClient, identity: str) -> dict[str, Any]:
    return dict(client.get(f"/v1/releases/{identity}").json())


def until_it_is(client: TestClient, identity: str, *phases: str) -> dict[str, Any]:
    until(lambda: told_of(client, identity)["phase"] in phases, 0.05)
    return told_of(client, identity)


def named(registry: Registry, wanted: str) -> Version:
    """Give the version that a number or an alias names, as soon as the registry can be read."""

    def read() -> Version | None:
        # Its file may be locked by who writes an alias.
        with suppress(RegistryError):
            return registry.resolve(MODEL, wanted)
        return None

    return until(read, 0.05)


def becomes(registry: Registry, version: str, alias: str = "champion") -> None:
    """Wait until the registry has learned what an alias names."""
    until(lambda: alias in named(registry, version).aliases, 0.05)


def serves(settings: Settings) -> str:
    return (installed(settings.registry.bundles_path, MODEL) or ("",))[0]


def asked(client: TestClient, action: str, **body: object) -> dict[str, Any]:
    answer = client.post(f"/v1/releases{action}", json=body, headers=ADA)
    assert answer.is_success, answer.text
    return dict(answer.json())


def test_a_good_version_gets_all_of_the_traffic_step_by_step_and_is_taken_back_at_a_word(
    settings: Settings, registry: Registry, traffic: Traffic
) -> None:
    with platform(settings, worker_part, rounds) as client:
        identity = asked(client, "", **WANTED)["id"]
        champions = set()

        def is_done() -> bool:
            # What serves is read first: if the release runs after that, it ran then, or was still to begin.
            before, phase = serves(settings), told_of(client, identity)["phase"]
            if phase in ("queued", "preparing", "running"):
                champions.add(before)
            return bool(phase == "succeeded")

        until(is_done)
        assert champions <= {"1"}
        done = told_of(client, identity)
        assert (done["step"], done["weight"], serves(settings)) == (2, 1.0, "2")
        becomes(registry, "2")
        becomes(registry, "1", "previous")
        both = dict(traffic.answered)
        assert min(both.values()) > 10

        asked(client, f"/{identity}/rollback", reason="people do not like it")
        until_it_is(client, identity, "rolled_back")
        assert serves(settings) == "1"
        told = dict(traffic.answered)
        until(lambda: traffic.answered["1"] >= told["1"] + 50)
        assert traffic.answered["2"] <= told["2"] + 1, (
            "of one request the version was chosen before, and it counts after"
        )
        becomes(registry, "1")
        actions = [each["action"] for each in client.get("/v1/audit", params={"subject": identity}).json()["entries"]]
        assert actions[0] == "release.rolled_back"
        assert {"release.create", "release.running", "release.promoting", "release.rollback"} <= set(actions)
        assert client.get("/v1/audit/verify").json()["whole"]


def test_a_bad_version_is_rolled_back_and_never_becomes_champion(
    settings: Settings, registry: Registry, traffic: Traffic
) -> None:
    # So bad that not even of the first ten requests that the guard looks at all go well by chance.
    traffic.bad = 0.9
    with platform(settings, worker_part, rounds) as client:
        identity = asked(client, "", **WANTED)["id"]
        told = until_it_is(client, identity, "rolled_back", "succeeded")
        assert told["phase"] == "rolled_back"
        assert "failed" in told["note"]
        assert serves(settings) == "1"
        split = effective(settings.registry.bundles_path, MODEL)
        assert split is not None
        assert [each.version for each in split.variants] == ["1"]
        assert named(registry, "champion").version == "1"


@REPLICAS
def test_a_rolling_release_changes_over_by_itself_however_few_the_replicas(
    settings: Settings, registry: Registry, traffic: Traffic
) -> None:
    with platform(settings, worker_part, rounds) as client:
        identity = asked(client, "", **ROLLING)["id"]
        told = until_it_is(client, identity, "rolled_back", "succeeded")
        assert (told["phase"], serves(settings)) == ("succeeded", "2")
    first = traffic.changed[0.25]
    assert len(first) == 1
    assert traffic.changed.get(0.5, first) == first


@REPLICAS
def test_a_rolling_release_of_a_bad_version_is_rolled_back_by_itself(
    settings: Settings, registry: Registry, traffic: Traffic
) -> None:
    traffic.bad = 0.9
    with platform(settings, worker_part, rounds) as client:
        identity = asked(client, "", **ROLLING)["id"]
        told = until_it_is(client, identity, "rolled_back", "succeeded")
        assert (told["phase"], serves(settings)) == ("rolled_back", "1")
        assert "failed" in told["note"]
    assert [len(replicas) for replicas in traffic.changed.values()] == [1]


def test_what_goes_bad_while_nobody_reaches_the_registry_is_rolled_back_all_the_same(
    settings: Settings, registry: Registry, traffic: Traffic
) -> None:
    registry.bring(MODEL, "2", settings.registry.bundles_path)
    with platform(settings, rounds) as client:
        identity = asked(client, "", **WANTED)["id"]
        until_it_is(client, identity, "succeeded")
        assert serves(settings) == "2"
        asked(client, f"/{identity}/rollback", reason="it went bad")
        until_it_is(client, identity, "rolled_back")
        assert serves(settings) == "1"
    # The registry comes back, and was told of another champion by nobody: it learns which one serves.
    registry.promote(MODEL, "2")
    with platform(settings, worker_part, rounds):
        becomes(registry, "1")
        assert serves(settings) == "1"


def test_a_release_that_goes_bad_while_its_controller_is_dead_is_rolled_back_by_the_next_one(
    settings: Settings, registry: Registry, traffic: Traffic, environment: dict[str, str]
) -> None:
    registry.bring(MODEL, "2", settings.registry.bundles_path)
    held = [{"weight": 0.5, "seconds": 3600, "minimum": 10}]

    @contextmanager
    def loop() -> Iterator[subprocess.Popen[bytes]]:
        child = subprocess.Popen([sys.executable, "-c", ROUNDS], env=os.environ | environment)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()

    with platform(settings) as client:
        with loop():
            identity = asked(client, "", **WANTED | {"steps": held})["id"]
            until_it_is(client, identity, "running")
            # The database knows of it before the files that serving reads do.
            until(lambda: traffic.answered.get("2"))
        traffic.bad = 0.5
        before = traffic.answered["2"]
        until(lambda: traffic.answered["2"] >= before + 50)
        assert client.get(f"/v1/releases/{identity}").json()["phase"] == "running"
        with loop():
            until_it_is(client, identity, "rolled_back")
    split = effective(settings.registry.bundles_path, MODEL)
    assert split is not None
    assert [each.version for each in split.variants] == ["1"]
