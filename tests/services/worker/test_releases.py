"""The release loop over a real database and a real folder of bundles; only the figures of the variants are given."""

import sqlite3
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from mlops.audit import AuditLog
from mlops.database import Database, DatabaseAway
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction
from mlops.predictions.row import new_identity as prediction_identity
from mlops.predictions.writer import Writer
from mlops.registry.bundle import installed, place, point, write_manifest
from mlops.rollout import state
from mlops.rollout.guard import Window
from mlops.rollout.state import Release, Step
from mlops.rollout.store import ReleaseStore, new_identity
from mlops.rollout.strategies import Wish, plan
from mlops.rollout.table import TABLES
from mlops.rollout.traffic import Split, effective, read_split
from mlops.settings import DatabaseSettings, load_settings
from services.worker.releases import ReleaseLoop, releases_round

MODEL, ENDPOINT = "face-detector", "faces"
SETTINGS = load_settings(environ={}).rollout
GOOD = Window(1000, 0, np.full(1000, 0.1), judged=100)
BAD = replace(GOOD, failed=300)
STEPS = (Step(0.1, 60, 50), Step(0.5, 60, 50))
TRACED = ("services/worker/releases.py", "mlops/rollout/", "mlops/registry/bundle.py", "mlops/audit.py")


class Killed(BaseException):
    """Stands for the end of the process, which nothing catches."""


@dataclass
class World:
    """A folder of bundles, a database, figures, and time that passes when a test says so."""

    folder: Path
    now: float = 1_000_000.0
    candidate: Window = GOOD
    baseline: Window = GOOD
    asked: list[tuple[str, float, float, str | None]] = field(default_factory=list)
    away: bool = False

    def __post_init__(self) -> None:
        url = SecretStr(f"sqlite:///{self.folder}/platform.db")
        self.database = Database(DatabaseSettings(url=url, password_file=None), TABLES)
        self.store = ReleaseStore(self.database, lambda: self.now)
        self.root = self.folder / "bundles"
        self.digests = {version: self.put(version) for version in ("1", "2", "3")}
        point(self.root, MODEL, "1", self.digests["1"])
        self.restart()

    def put(self, version: str) -> str:
        """Lay a bundle into the folder."""
        made = self.folder / f"made-{version}"
        made.mkdir()
        (made / "graph.onnx").write_text(f"graph of version {version}")
        (made / "golden.npz").write_text("golden")
        digest = write_manifest(made, MODEL, "some-net", {"fp32": "graph.onnx"}, "golden.npz")
        place(made, self.root, MODEL, version, digest)
        return digest

    def restart(self) -> None:
        """Start the loop as a new process would."""
        self.collectors = CollectorRegistry()
        self.loop = ReleaseLoop(self.store, self.root, self.windows, SETTINGS, frozenset({ENDPOINT}), self.collectors)

    def windows(
        self, endpoint: str, since: float, until: float, release: str | None
    ) -> Mapping[tuple[str, str], Window]:
        """Give the figures, as `mlops.predictions.store.PredictionStore.windows` does."""
        self.asked.append((endpoint, since, until, release))
        if self.away:
            raise DatabaseAway("no rows today")
        figures = {("champion", "1"): self.baseline}
        return figures if release is None else figures | {("challenger", "2"): self.candidate}

    def ask(self, strategy: str = "canary", **others: Any) -> Release:
        wish = Wish(
            ENDPOINT, MODEL, strategy, ("2", self.digests["2"]), ("1", self.digests["1"]), "low", "ada", "it is better"
        )
        steps = STEPS if strategy in ("canary", "rolling") else ()
        planned = plan(new_identity(), replace(wish, **{"steps": steps} | others), SETTINGS, self.now)
        return self.store.create(planned)[0]

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.loop.tick(self.now)

    def release(self, identity: str) -> Release:
        found = self.store.get(identity)
        assert found is not None
        return found

    def act(self, release: Release, action: str, *more: Any) -> Release:
        move = getattr(state, action)
        return self.store.act(release.identity, "bob", action, lambda each, now: move(each, now, *more), "because")

    def weight(self) -> float:
        """Give the share of the traffic that version 2 gets now."""
        split = effective(self.root, MODEL)
        assert split is not None
        if split.rolling is not None:
            return split.rolling
        return sum(each.weight for each in split.variants if each.version == "2")

    def champion(self) -> str:
        pointer = installed(self.root, MODEL)
        assert pointer is not None
        return pointer[0]

    def aliases(self) -> dict[str, str | None]:
        return {each.alias: each.version for each in self.store.aliases_pending()}

    def count(self, name: str, **labels: str) -> float:
        return self.collectors.get_sample_value(name, labels) or 0.0


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[[], World]]:
    made: list[World] = []

    def make() -> World:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(folder))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    return worlds()


def test_a_canary_goes_from_nothing_to_everything(world: World) -> None:
    asked = world.ask()
    assert world.weight() == 0
    world.tick()
    assert world.release(asked.identity).phase == "running"
    assert world.weight() == 0.1
    assert world.aliases() == {"challenger": "2"}
    world.tick(59)
    assert world.weight() == 0.1
    world.tick(2)
    assert world.weight() == 0.5
    world.tick(61)
    done = world.release(asked.identity)
    assert (done.phase, done.is_promoted) == ("succeeded", True)
    assert (world.champion(), world.weight()) == ("2", 1.0)
    assert read_split(world.root, MODEL) is None
    assert world.aliases() == {"champion": "2", "previous": "1", "challenger": None}
    assert not world.store.may_point(MODEL)
    told = [(entry.actor, entry.details.get("to")) for entry in reversed(AuditLog(world.database).entries())]
    assert told == [
        ("ada", None),
        *(("release-loop", to) for to in ("preparing", "running", "running", "promoting", "succeeded")),
    ]
    assert world.count("masker_release_moves_total", to="succeeded") == 1
    world.tick(1)
    assert world.release(asked.identity) == done


@pytest.mark.parametrize("strategy", ["canary", "rolling", "blue-green", "shadow", "champion-challenger"])
def test_a_failed_guard_rolls_back_whatever_the_strategy(world: World, strategy: str) -> None:
    asked = world.ask(strategy)
    world.tick()
    world.candidate = BAD
    world.tick(SETTINGS.guard_seconds)
    ended = world.release(asked.identity)
    assert ended.phase == "rolled_back"
    assert "failed" in ended.note
    assert (world.champion(), world.weight()) == ("1", 0.0)
    assert read_split(world.root, MODEL) is None
    assert world.aliases() == {"challenger": None}
    assert world.store.holder(ENDPOINT) is None


@pytest.mark.parametrize("phase", ["step 1", "step 2", "paused", "promoting"])
@pytest.mark.parametrize("dead", [False, True])
def test_a_failed_guard_rolls_back_in_every_phase_also_when_the_loop_was_dead(
    world: World, phase: str, dead: bool
) -> None:
    asked = world.ask()
    world.tick()
    if phase == "step 2":
        world.tick(61)
        assert world.weight() == 0.5
    elif phase == "paused":
        world.act(asked, "pause")
    elif phase == "promoting":
        world.act(asked, "promote_full")
    world.candidate = BAD
    if dead:
        world.now += 50_000
        world.restart()
    world.tick(SETTINGS.guard_seconds)
    assert world.release(asked.identity).phase == "rolled_back"
    assert (world.champion(), world.weight()) == ("1", 0.0)
    expected = {"champion": "1", "previous": None} if phase == "promoting" else {}
    assert world.aliases() == {"challenger": None, **expected}


def test_the_first_look_after_the_loop_was_dead_is_at_all_of_the_step(world: World) -> None:
    asked = world.ask(steps=(Step(0.1, 90_000, 50),))
    world.tick()
    started = world.now
    world.tick(50_000)
    assert world.asked[-1][1:] == (world.now - SETTINGS.guard_window_seconds, world.now, asked.identity)
    world.restart()
    world.tick(1)
    assert world.asked[-1][1:] == (started, world.now, asked.identity)


@pytest.mark.parametrize(
    ("baseline", "candidate", "told"),
    [
        (GOOD, Window(), "0 of at least 50"),
        (Window(), GOOD, "the baseline has had 0"),
        (GOOD, replace(GOOD, requests=49), "49 of at least 50"),
        (GOOD, replace(GOOD, judged=0), "judged"),
        (GOOD, replace(GOOD, open_found=1), "open"),
    ],
)
def test_what_is_in_doubt_holds_for_ever_and_says_why(
    world: World, baseline: Window, candidate: Window, told: str
) -> None:
    asked = world.ask()
    world.baseline, world.candidate = baseline, candidate
    world.tick()
    for _ in range(30):
        world.tick(100)
    held = world.release(asked.identity)
    assert (held.phase, held.step, world.weight()) == ("running", 0, 0.1)
    assert held.note.startswith("holds: ")
    assert told in held.note
    world.baseline = world.candidate = GOOD
    world.tick(SETTINGS.guard_seconds * 10)
    assert world.release(asked.identity).step == 1


def test_rows_that_cannot_be_read_hold(world: World) -> None:
    asked = world.ask()
    world.tick()
    world.away = True
    world.tick(100)
    assert world.release(asked.identity).step == 0
    assert "cannot be read" in world.release(asked.identity).note


def test_time_alone_or_figures_alone_pass_no_step(world: World) -> None:
    asked = world.ask()
    world.tick()
    for _ in range(11):
        world.tick(5)
        assert world.release(asked.identity).step == 0
    world.tick(10)
    assert world.release(asked.identity).step == 1


def test_both_variants_are_compared_in_the_same_window(world: World) -> None:
    world.ask()
    world.tick()
    world.tick(SETTINGS.guard_seconds)
    assert all(release is not None for *_, release in world.asked)
    assert world.asked[-1][1:3] == (world.now - SETTINGS.guard_seconds, world.now)


def test_blue_green_moves_once_and_is_watched_before_it_counts(world: World) -> None:
    asked = world.ask("blue-green")
    world.tick()
    assert (world.weight(), world.champion()) == (1.0, "1")
    moved = world.now
    # The baseline has nothing to do any more: what it did before the move is what the candidate is held against.
    assert (ENDPOINT, moved - SETTINGS.guard_window_seconds, moved, None) in world.asked
    world.tick(SETTINGS.step_seconds - 1)
    assert world.release(asked.identity).phase == "running"
    world.tick(2)
    assert world.release(asked.identity).phase == "succeeded"
    assert (world.weight(), world.champion()) == (1.0, "2")


def test_blue_green_without_traffic_before_holds(world: World) -> None:
    asked = world.ask("blue-green")
    world.baseline = Window()
    world.tick()
    world.tick(10_000)
    assert world.release(asked.identity).phase == "running"
    assert world.champion() == "1"


def test_a_shadow_never_gets_weight_and_promotes_nothing(world: World) -> None:
    asked = world.ask("shadow")
    # It waits behind everything else, so how long it takes is not held against it; nor is it judged.
    world.candidate = replace(GOOD, seconds=np.full(1000, 9.0), judged=0)
    world.tick()
    split = read_split(world.root, MODEL)
    assert split is not None
    assert [(each.version, each.weight, each.shadow) for each in split.variants] == [("1", 1.0, False), ("2", 0, True)]
    world.tick(SETTINGS.step_seconds + 1)
    assert world.release(asked.identity).phase == "succeeded"
    assert (world.champion(), world.weight(), read_split(world.root, MODEL)) == ("1", 0.0, None)
    assert world.aliases() == {"challenger": None}


def test_a_rolling_release_changes_replicas_over(world: World) -> None:
    asked = world.ask("rolling")
    world.tick()
    assert world.weight() == 0.1
    world.tick(61)
    assert world.weight() == 0.5
    world.tick(61)
    assert (world.release(asked.identity).phase, world.champion()) == ("succeeded", "2")


def test_a_challenger_keeps_its_weight_until_somebody_says_so(world: World) -> None:
    asked = world.ask("champion-challenger")
    for _ in range(10):
        world.tick(100_000)
    assert world.weight() == SETTINGS.challenger_weight
    assert "until somebody" in world.release(asked.identity).note
    world.act(asked, "promote_full")
    world.tick()
    assert (world.release(asked.identity).phase, world.champion()) == ("succeeded", "2")


def test_people_pause_go_on_and_skip(world: World) -> None:
    asked = world.ask()
    world.tick()
    world.act(asked, "pause")
    world.tick(1000)
    assert (world.weight(), world.release(asked.identity).phase) == (0.1, "paused")
    world.act(asked, "resume")
    world.tick(59)
    assert world.weight() == 0.1
    world.act(asked, "advance")
    world.tick()
    assert world.weight() == 0.5


@pytest.mark.parametrize("action", ["abort", "roll_back"])
def test_people_end_it(world: World, action: str) -> None:
    asked = world.ask()
    world.tick()
    world.act(asked, action, "enough")
    world.tick()
    ended = world.release(asked.identity)
    assert (ended.phase, ended.note, world.weight()) == ("rolled_back", "enough", 0.0)


def test_after_success_a_rollback_is_the_same_move_back(world: World) -> None:
    asked = world.ask(policy={"threshold": 0.3})
    world.tick()
    world.act(asked, "promote_full")
    world.tick()
    assert world.champion() == "2"
    split = effective(world.root, MODEL)
    assert split is not None
    assert split.champion.policy == {"threshold": 0.3}
    world.act(asked, "roll_back", "it is worse after all")
    world.tick()
    assert world.release(asked.identity).phase == "rolled_back"
    assert (world.champion(), world.weight()) == ("1", 0.0)
    assert effective(world.root, MODEL) == Split.whole(MODEL, "1", world.digests["1"])
    assert world.aliases() == {"champion": "1", "previous": None, "challenger": None}


def test_a_policy_alone_can_be_released_and_taken_back(world: World) -> None:
    asked = world.ask(candidate=("1", world.digests["1"]), policy={"threshold": 0.3})
    world.tick()
    split = effective(world.root, MODEL)
    assert split is not None
    assert [each.policy for each in split.variants] == [{}, {"threshold": 0.3}]
    world.act(asked, "promote_full")
    world.tick()
    split = effective(world.root, MODEL)
    assert split is not None
    assert [(each.version, each.weight, each.policy) for each in split.variants] == [("1", 1.0, {"threshold": 0.3})]
    world.act(asked, "roll_back", "no")
    world.tick()
    assert effective(world.root, MODEL) == Split.whole(MODEL, "1", world.digests["1"])


def test_a_release_waits_for_its_bundle_and_fails_without_it(world: World) -> None:
    digest = "c" * 64
    asked = world.ask(candidate=("4", digest))
    world.tick()
    waiting = world.release(asked.identity)
    assert (waiting.phase, waiting.note) == ("preparing", "waits for the bundle of version 4")
    assert (MODEL, "4") in world.store.wanted()
    world.tick(SETTINGS.prepare_seconds + 1)
    ended = world.release(asked.identity)
    assert (ended.phase, world.weight()) == ("failed", 0.0)
    assert "not brought" in ended.note
    assert world.store.holder(ENDPOINT) is None


def test_a_bundle_that_cannot_be_brought_fails_at_once_with_the_reason(world: World) -> None:
    asked = world.ask(candidate=("4", "c" * 64))
    (world.root / MODEL / "4.refused").write_text("it is not what was registered\n")
    world.tick()
    assert world.release(asked.identity).note == "version 4 cannot be brought: it is not what was registered"


def test_a_damaged_bundle_never_starts(world: World) -> None:
    (world.root / MODEL / "2" / "graph.onnx").write_text("something else")
    asked = world.ask()
    world.tick()
    assert world.release(asked.identity).phase == "preparing"


def test_a_candidate_that_rots_is_never_pointed_at(world: World) -> None:
    asked = world.ask()
    world.tick()
    (world.root / MODEL / "2" / "graph.onnx").write_text("something else")
    world.act(asked, "promote_full")
    world.tick()
    assert (world.release(asked.identity).phase, world.champion()) == ("promoting", "1")
    assert world.count("masker_release_failures_total") == 1
    world.act(asked, "abort", "it rots")
    world.tick()
    assert (world.release(asked.identity).phase, world.champion()) == ("rolled_back", "1")


def test_one_after_the_other(world: World) -> None:
    first = world.ask()
    world.now += 1
    second = world.ask(candidate=("3", world.digests["3"]))
    world.tick()
    assert [world.release(each.identity).phase for each in (first, second)] == ["running", "queued"]
    assert "another release or experiment" in world.release(second.identity).note
    world.act(first, "abort", "enough")
    world.tick()
    assert [world.release(each.identity).phase for each in (first, second)] == ["rolled_back", "running"]


def test_a_release_against_a_champion_of_before_fails(world: World) -> None:
    first = world.ask()
    world.now += 1
    second = world.ask(candidate=("3", world.digests["3"]))
    world.tick()
    world.act(first, "promote_full")
    world.tick()
    world.tick()
    ended = world.release(second.identity)
    assert ended.phase == "failed"
    assert "version 2 is champion" in ended.note
    assert world.champion() == "2"


def test_a_champion_that_somebody_else_changes_ends_the_release_and_stays(world: World) -> None:
    asked = world.ask()
    world.tick()
    point(world.root, MODEL, "3", world.digests["3"])
    world.tick()
    assert world.release(asked.identity).phase == "failed"
    assert (world.champion(), world.weight(), read_split(world.root, MODEL)) == ("3", 0.0, None)


def test_an_experiment_is_left_alone_and_cleaned_up_after(world: World) -> None:
    asked = world.ask(policy={"threshold": 0.3})
    world.tick()
    world.act(asked, "promote_full")
    world.tick()
    assert world.store.claim(ENDPOINT, MODEL, "experiment", ["2"])
    traffic = world.root / MODEL / "traffic.json"
    before = traffic.read_text()
    traffic.write_text("what an experiment writes")
    world.tick()
    assert traffic.read_text() == "what an experiment writes"
    world.store.free(ENDPOINT, "experiment")
    world.tick()
    assert traffic.read_text() == before
    assert world.store.holder(ENDPOINT) is None


def test_a_split_that_was_damaged_is_written_again(world: World) -> None:
    world.ask()
    world.tick()
    (world.root / MODEL / "traffic.json").write_text("{")
    world.tick()
    assert world.weight() == 0.1


def test_a_release_that_waits_for_people_begins_nothing(world: World) -> None:
    planned = plan(
        new_identity(),
        Wish(ENDPOINT, MODEL, "canary", ("2", world.digests["2"]), ("1", world.digests["1"]), "high", "ada", "why"),
        SETTINGS,
        world.now,
    )
    _, approval = world.store.create(planned, 1, 100)
    assert approval is not None
    world.tick()
    assert world.release(planned.identity).phase == "pending_approval"
    world.store.vote(approval.identity, "bob", True, "good")
    world.tick()
    assert world.release(planned.identity).phase == "running"
    late, _ = world.store.create(replace(planned, identity=new_identity()), 1, 100)
    world.tick(101)
    assert world.release(late.identity).phase == "rejected"


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
    assert held.note.startswith("holds: the candidate has had 0 of at least 50 requests")
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
def test_a_folder_that_cannot_be_written_is_tried_again(world: World, file: str) -> None:
    asked = world.ask()
    unblock = blocked(world.root / MODEL / file)
    for _ in range(3):
        world.tick(61)
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
    with sqlite3.connect(world.folder / "platform.db") as connection:
        connection.execute(
            "CREATE TRIGGER away BEFORE UPDATE ON releases WHEN NEW.phase = 'rolling_back' "
            "BEGIN SELECT RAISE(ABORT, 'away'); END"
        )
    world.candidate = BAD
    for _ in range(3):
        with pytest.raises(DatabaseAway):
            world.tick(SETTINGS.guard_seconds)
        assert world.weight() == 0.0
    with sqlite3.connect(world.folder / "platform.db") as connection:
        connection.execute("DROP TRIGGER away")
    connection.close()
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
