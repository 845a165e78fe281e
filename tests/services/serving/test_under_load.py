"""Releases and rollbacks of real bundles in a real server, with requests all the while: none fails, none is late."""

import http.client
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlops.registry.bundle import open_bundle, point
from mlops.rollout.traffic import Split, Variant, remove_split, write_split
from tests.patience import PATIENCE_SECONDS, until
from tests.services.places import UNHURRIED

MODEL = "face-detector"
CLIENTS = 4
SLO_SECONDS = PATIENCE_SECONDS
"""What hangs is late, a busy machine is not: how quick answers are is measured by benchmarks, not here."""


@dataclass
class Answer:
    begun: float
    ended: float
    status: int
    version: str
    variant: str
    identity: str


@dataclass
class Load:
    """Clients that ask again as soon as they are answered, and everything that they were told."""

    port: int
    photo: bytes
    answers: list[Answer] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        self.threads = [threading.Thread(target=self.ask, args=(name,)) for name in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Ask no more, and wait for the last answers."""
        self.stop.set()
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)

    def ask(self, name: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        number = 0
        while not self.stop.is_set():
            number += 1
            headers = {"Cache-Control": "no-store", "X-Subject-Id": f"{name}-{number}"}
            begun = time.monotonic()
            try:
                connection.request("POST", "/v1/mask/image?search=fast", self.photo, headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(repr(error))
                connection.close()
                continue
            told = [answer.headers.get(header, "") for header in ("X-Model-Version", "X-Variant", "X-Prediction-Id")]
            self.answers.append(Answer(begun, time.monotonic(), answer.status, *told))
        connection.close()

    def until(self, condition: Callable[[list[Answer]], bool]) -> None:
        """Wait until what was answered from now on fulfils a condition."""
        first = len(self.answers)
        until(lambda: condition(self.answers[first:]), 0.02)


@pytest.fixture
def bundles(trained: Path, tmp_path: Path) -> Path:
    for version in ("1", "2", "3", "4"):
        shutil.copytree(trained, tmp_path / "bundles" / MODEL / version)
    return tmp_path / "bundles"


@pytest.fixture
def digest(trained: Path) -> str:
    return open_bundle(trained, "1").digest


@pytest.fixture
def load(
    bundles: Path, digest: str, photo: bytes, rows_of: dict[str, object], tmp_path: Path, closed_port: int
) -> Iterator[Load]:
    point(bundles, MODEL, "1", digest)
    given = (
        UNHURRIED
        | rows_of
        | {
            "server__port": closed_port,
            "registry__bundles_path": bundles,
            "serving__threads": 2,
            "jobs__spool_path": tmp_path / "jobs",
            "database__url": f"sqlite:///{tmp_path}/platform.db",
            "logging__level": "ERROR",
        }
    )
    environ = {**os.environ, **{f"MASKER_{name.upper()}": str(value) for name, value in given.items()}}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "services.serving"], env=environ, stderr=log)
    made = Load(closed_port, photo)
    try:
        wait_for(closed_port, server)
        made.begin()
        yield made
    finally:
        made.end()
        server.terminate()
        assert server.wait(PATIENCE_SECONDS) in (0, -15)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        assert server.poll() is None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    until(is_ready, 0.05)


def split(digest: str, candidate: str, weight: float) -> Split:
    champion = Variant("champion", "1", digest, 1 - weight)
    return Split(MODEL, (champion, Variant("challenger", candidate, digest, weight)), "salt")


def by(version: str, count: int = 5) -> Callable[[list[Answer]], bool]:
    """Say whether so many answers were given by a version."""
    return lambda answers: sum(answer.version == version for answer in answers) >= count


def only(version: str, count: int = 10) -> Callable[[list[Answer]], bool]:
    """Say whether the newest answers are all by a version."""
    return lambda answers: len(answers) >= count and {answer.version for answer in answers[-count:]} == {version}


def test_no_request_fails_or_is_late_while_versions_come_and_go(
    load: Load, bundles: Path, digest: str, tmp_path: Path
) -> None:
    load.until(only("1"))
    # A canary, its promotion, and the way back.
    write_split(bundles, split(digest, "2", 0.5))
    load.until(lambda answers: by("2")(answers) and by("1")(answers))
    point(bundles, MODEL, "2", digest)
    remove_split(bundles, MODEL)
    load.until(only("2"))
    point(bundles, MODEL, "1", digest)
    load.until(only("1"))
    # A version that nobody has loaded yet becomes champion at once.
    point(bundles, MODEL, "3", digest)
    load.until(only("3"))
    # A candidate that is damaged, and a split that is: the champion goes on with everything.
    point(bundles, MODEL, "1", digest)
    load.until(only("1"))
    (bundles / MODEL / "4/int8.onnx").write_bytes(b"nothing")
    write_split(bundles, split(digest, "4", 0.9))
    load.until(only("1", 30))
    (bundles / MODEL / "traffic.json").write_text("{")
    load.until(only("1", 30))
    load.end()

    log = (tmp_path / "log").read_text()
    assert load.faults == [], log
    assert {answer.status for answer in load.answers} == {200}, log
    assert "4" not in {answer.version for answer in load.answers}
    assert max(answer.ended - answer.begun for answer in load.answers) < SLO_SECONDS
    assert len({answer.identity for answer in load.answers}) == len(load.answers)
