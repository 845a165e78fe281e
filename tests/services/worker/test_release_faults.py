"""The release loop where rows, folders or the database fail, and where it is killed at any line."""

import sqlite3
import sys
import time
import types
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.audit import AuditLog
from mlops.database import DatabaseAway
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction
from mlops.predictions.row import new_identity as prediction_identity
from mlops.predictions.writer import Writer
from mlops.rollout.state import Release, Step
from mlops.rollout.traffic import Split, effective, read_split
from mlops.settings import load_settings
from services.worker.releases import releases_round
from tests.services.worker.release_world import BAD, ENDPOINT, MODEL, SETTINGS, World

TRACED = ("services/worker/releases.py", "mlops/rollout/", "mlops/registry/bundle.py", "mlops/audit.py")


class Killed(BaseException):
    """Stands for the end of the process, which nothing catches."""


def rows(release: Release, now: float, variant: str, version: str, count: int, failed: int = 0) -> list[Prediction]:
    """Make so many predictions of a variant, as serving does, the first of them failed."""
    outcomes = ["failed" if number < failed else "ok" for number in range(count)]
    return [
        Prediction(
            identity=prediction_identity(),
            time=now - 1e-6 * number,
            endpoint=ENDPOINT,
            model=MODEL,
            version=version,
            variant=variant,
            release=release.identity,
            experiment="",
            subject="",
            outcome=outcome,
            status=500 if outcome == "failed" else 200,
            seconds=0.1 + 0.0001 * number,
            counts={"faces": 1.0},
        )
        for number, outcome in enumerate(outcomes)
    ]


def test_the_round_reads_the_rows_that_serving_writes(world: World) -> None:
    settings = load_settings(
        environ={
            "MASKER_DATABASE__URL": f"sqlite:///{world.folder}/platform.db",
            "MASKER_PREDICTIONS__URL": f"sqlite:///{world.folder}/predictions.db",
            "MASKER_REGISTRY__BUNDLES_PATH": str(world.root),
            "MASKER_ROLLOUT__GUARD_SECONDS": "0.001",
            "MASKER_ROLLOUT__GUARD_MINIMUM_JUDGED": "0",
        }
    )
    predictions = database_of(settings.predictions)
    writer, duty = Writer(predictions), releases_round(settings, Metrics())
    world.now = time.time()
    asked = world.ask(steps=(Step(0.1, 0, 50), Step(0.5, 3600, 50)))
    duty.run()
    held = world.release(asked.identity)
    assert (held.phase, held.step) == ("running", 0)
    assert ": the candidate has had 0 of at least 50 requests" in held.note
    writer.insert(rows(asked, time.time(), "champion", "1", 300) + rows(asked, time.time(), "challenger", "2", 60))
    time.sleep(0.01)
    duty.run()
    assert world.release(asked.identity).step == 1
    assert world.weight() == 0.5
    now = time.time() + 0.4
    time.sleep(0.5)
    writer.insert(rows(asked, now, "champion", "1", 90) + rows(asked, now, "challenger", "2", 90, failed=45))
    duty.run()
    ended = world.release(asked.identity)
    assert (ended.phase, world.weight()) == ("rolled_back", 0.0)
    assert "50.00% of the candidate's requests failed" in ended.note
    duty.close()
    predictions.close()


def blocked(path: Path) -> Callable[[], None]:
    """Put a folder where a file is to be written, which even root cannot replace; returns what takes it away."""
    path.mkdir()
    (path / "in-the-way").touch()

    def unblock() -> None:
        (path / "in-the-way").unlink()
        path.rmdir()

    return unblock


@pytest.mark.parametrize("file", ["traffic.incoming", "champion.incoming"])
def test_a_folder_that_cannot_be_written_is_tried_again(
    world: World, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = world.ask()
    unblock = blocked(world.root / MODEL / file)
    for _ in range(3):
        world.tick(61)
    world.tick(1)
    world.tick(1)
    said = [each for each in caplog.records if each.message == "a release could not be carried on"]
    assert len(said) == 1
    expected = ("promoting", 0.5) if file == "champion.incoming" else ("running", 0.0)
    assert (world.release(asked.identity).phase, world.weight()) == expected
    assert world.champion() == "1"
    assert world.count("masker_release_failures_total") > 0
    unblock()
    for _ in range(3):
        world.tick(61)
    assert (world.release(asked.identity).phase, world.champion(), world.weight()) == ("succeeded", "2", 1.0)


def test_what_is_left_of_the_split_goes_before_its_champion_comes_back(world: World) -> None:
    asked = world.ask()
    world.tick()
    traffic = world.root / MODEL / "traffic.json"
    left = traffic.read_text()
    world.act(asked, "promote_full")
    world.tick()
    # What a kill between pointer and split leaves, which holds again as soon as version 1 is champion.
    traffic.write_text(left)
    world.act(asked, "roll_back", "worse")
    unblock = blocked(world.root / MODEL / "champion.incoming")
    world.tick()
    assert not traffic.exists()
    unblock()
    world.tick()
    assert (world.champion(), world.weight()) == ("1", 0.0)


def test_a_rollback_that_the_database_does_not_take_has_taken_the_traffic_all_the_same(world: World) -> None:
    asked = world.ask()
    world.tick()
    with closing(sqlite3.connect(world.folder / "platform.db")) as connection, connection:
        connection.execute(
            "CREATE TRIGGER away BEFORE UPDATE ON releases WHEN NEW.phase = 'rolling_back' "
            "BEGIN SELECT RAISE(ABORT, 'away'); END"
        )
    world.candidate = BAD
    for _ in range(3):
        with pytest.raises(DatabaseAway):
            world.tick(SETTINGS.guard_seconds)
        assert world.weight() == 0.0
    with closing(sqlite3.connect(world.folder / "platform.db")) as connection, connection:
        connection.execute("DROP TRIGGER away")
    world.tick()
    assert world.release(asked.identity).phase == "rolled_back"


def test_without_the_database_everything_stays_as_it_is(world: World) -> None:
    world.ask()
    world.tick()
    world.database.close()
    there = world.folder / "platform.db"
    for file in world.folder.glob("platform.db*"):
        file.rename(world.folder / f"away-{file.name}")
    there.mkdir()
    with pytest.raises(DatabaseAway):
        world.tick(100)
    assert world.weight() == 0.1
    there.rmdir()
    for file in world.folder.glob("away-*"):
        file.rename(world.folder / file.name.removeprefix("away-"))
    world.tick()
    assert world.weight() == 0.5


def canary(world: World) -> None:
    """Promote in two steps."""
    world.ask()
    world.tick()
    world.tick(61)
    world.tick(61)


def failing(world: World) -> None:
    """Be rolled back in the second step."""
    world.ask()
    world.tick()
    world.tick(61)
    world.candidate = BAD
    world.tick(SETTINGS.guard_seconds)


def taken_back(world: World) -> None:
    """Be promoted with a policy, and rolled back by a person."""
    asked = world.ask(policy={"threshold": 0.3})
    world.tick()
    world.act(asked, "promote_full")
    world.tick()
    world.act(asked, "roll_back", "worse")
    world.tick()


class Interrupted(World):
    """A world whose loop is killed at one line, counted over all ticks, and started again."""

    def __init__(self, folder: Path, line: int) -> None:
        self.left = line
        self.lines = 0
        super().__init__(folder)

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            self.loop.tick(self.now)
        except Killed:
            sys.settrace(before)
            self._check()
            self.restart()
            self.loop.tick(self.now)
        finally:
            sys.settrace(before)
        self._check()

    def _trace(self, frame: types.FrameType, event: str, _: object) -> Any:
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.left:
                raise Killed
        return self._trace

    def _check(self) -> None:
        """Whenever it is looked at the traffic is split by something whole, and never by more than was asked for."""
        assert self.weight() in (0.0, 0.1, 0.5, 1.0)
        assert self.weight() < 1.0 or self.champion() == "2"


def end_of(world: World) -> tuple[object, ...]:
    release = world.store.list()[0]
    phases = [entry.details.get("to") for entry in AuditLog(world.database).entries()]
    return (
        replace(release, identity="", generation=0, note=""),
        world.champion(),
        replace(effective(world.root, MODEL) or Split.whole(MODEL, "", ""), salt="", release=""),
        read_split(world.root, MODEL) is None,
        world.aliases(),
        world.store.holder(ENDPOINT),
        phases,
    )


# Who is killed closes nothing; here only the loop is, and what it had open is noticed.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("scenario", [canary, failing, taken_back])
def test_killed_at_any_line_it_ends_the_same(tmp_path: Path, scenario: Callable[[World], None]) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    undisturbed = Interrupted(whole, 0)
    scenario(undisturbed)
    expected = end_of(undisturbed)
    undisturbed.database.close()
    random = np.random.default_rng(5)
    for line in sorted(random.choice(np.arange(1, undisturbed.lines), 8, replace=False)):
        folder = tmp_path / f"{line}"
        folder.mkdir()
        world = Interrupted(folder, int(line))
        scenario(world)
        assert end_of(world) == expected, f"killed at line {line} of {undisturbed.lines}"
        assert AuditLog(world.database).verify() is None
        world.database.close()
