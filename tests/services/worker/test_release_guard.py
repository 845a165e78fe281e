"""When the release loop goes back, holds or goes on; only the figures of the variants are given."""

from dataclasses import replace

import pytest

from mlops.rollout.guard import Window
from mlops.rollout.state import Release, Step
from mlops.rollout.traffic import read_split
from tests.services.worker.release_world import BAD, ENDPOINT, GOOD, MODEL, SETTINGS, World


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
def test_what_is_in_doubt_holds_and_says_why_and_until_when(
    world: World, baseline: Window, candidate: Window, told: str
) -> None:
    asked = world.ask()
    world.baseline, world.candidate = baseline, candidate
    world.tick()
    for _ in range(30):
        world.tick(100)
    held = world.release(asked.identity)
    assert (held.phase, held.step, world.weight()) == ("running", 0, 0.1)
    assert held.note.startswith("holds until 1970-01-13 13:47 UTC, then it is rolled back: ")
    assert told in held.note
    world.baseline = world.candidate = GOOD
    world.tick(SETTINGS.guard_seconds * 10)
    assert world.release(asked.identity).step == 1


def test_a_clock_that_was_set_back_blinds_no_guard(world: World) -> None:
    release = world.ask()
    world.tick()
    world.tick(10)
    assert world.release(release.identity).phase == "running"
    world.candidate = BAD
    world.tick(-3600)
    assert world.release(release.identity).phase == "rolled_back"


def test_what_is_open_and_how_long_it_holds_is_shown(world: World) -> None:
    world.ask()
    world.tick()
    world.tick()
    assert world.count("masker_releases_open", endpoint=ENDPOINT, phase="running") == 1
    world.candidate = replace(GOOD, failed=11)
    world.tick(59)
    assert world.count("masker_release_overdue_seconds", endpoint=ENDPOINT) == 0
    world.tick(31)
    assert world.count("masker_release_overdue_seconds", endpoint=ENDPOINT) == 30
    world.candidate = GOOD
    for _ in range(3):
        world.tick(61)
    assert world.count("masker_release_overdue_seconds", endpoint=ENDPOINT) == 0
    assert world.count("masker_releases_open", endpoint=ENDPOINT, phase="running") == 0


@pytest.mark.parametrize(("ends", "phase", "weight"), [("rollback", "rolled_back", 0.0), ("pause", "paused", 0.1)])
def test_a_hold_ends(world: World, ends: str, phase: str, weight: float) -> None:
    world.settings = world.settings.model_copy(update={"hold_seconds": 1000.0, "hold_ends": ends})
    world.restart()
    asked = world.ask()
    world.candidate = replace(GOOD, judged=3)
    world.tick()
    world.tick(1059)
    assert world.release(asked.identity).phase == "running"
    world.tick(SETTINGS.guard_seconds)
    world.tick()
    held = world.release(asked.identity)
    assert (held.phase, world.weight()) == (phase, weight)
    assert held.note.startswith("held for 1000 s: of the candidate 3 of at least 10 face-frames were judged")
    if ends == "pause":
        # Whoever looks at it may go on, and the step begins anew.
        world.act(held, "resume")
        world.candidate = GOOD
        world.tick(61)
        assert world.release(asked.identity).step == 1


def test_a_challenger_that_goes_on_for_ever_holds_nothing(world: World) -> None:
    asked = world.ask("champion-challenger")
    world.candidate = replace(GOOD, judged=0)
    world.tick()
    world.tick(1e7)
    assert world.release(asked.identity).phase == "running"


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


def alone(world: World) -> Release:
    """Ask for a rolling release of the only replica, which leaves nothing to the baseline."""
    asked = world.ask("rolling")
    world.before, world.baseline = GOOD, Window()
    world.tick()
    assert world.weight() == 1
    return asked


def looks_before(world: World) -> list[float]:
    """Give how long the stretches are in which the baseline's figures were looked for before a step."""
    return [until - since for _, since, until, release in world.asked if release is None]


def test_where_no_replica_is_left_to_the_baseline_what_it_did_before_counts_however_long_ago(world: World) -> None:
    world.before_seconds = 5000
    asked = alone(world)
    world.tick(61)
    assert world.release(asked.identity).step == 1
    lengths = looks_before(world)
    assert max(lengths) == 8 * SETTINGS.guard_window_seconds
    world.tick(10)
    world.tick(40)
    assert looks_before(world) == lengths, "what was found once is not looked for again"
    world.tick(20)
    assert world.release(asked.identity).phase == "succeeded"


@pytest.mark.parametrize(
    ("bad", "told"), [({"failed": 300}, "failed"), ({"open_found": 60}, "open"), ({"load_refused": 1}, "load")]
)
def test_a_fault_of_the_only_replica_rolls_back_in_every_step(world: World, bad: dict[str, int], told: str) -> None:
    asked = alone(world)
    world.tick(61)
    world.candidate = replace(GOOD, **bad)
    world.tick(SETTINGS.guard_seconds)
    ended = world.release(asked.identity)
    assert (ended.phase, world.weight()) == ("rolled_back", 0)
    assert told in ended.note
    assert ended.note.endswith("the baseline's figures are those of the time before")


def test_without_figures_of_the_baseline_from_before_nothing_passes(world: World) -> None:
    world.before_seconds = 1e9
    asked = alone(world)
    for _ in range(10):
        world.tick(100)
    held = world.release(asked.identity)
    assert (held.phase, held.step) == ("running", 0)
    assert "the baseline has" in held.note
    # A day before the release was asked for is as far as it goes, and not at every look.
    lengths = looks_before(world)
    assert max(lengths) == 86_400
    for _ in range(5):
        world.tick(SETTINGS.guard_seconds)
    assert looks_before(world) == lengths


def test_a_replica_that_is_left_to_the_baseline_is_what_counts(world: World) -> None:
    world.replicas = frozenset({"a", "b"})
    world.before = BAD
    asked = world.ask("rolling")
    world.tick()
    world.candidate = BAD
    world.tick(SETTINGS.guard_seconds)
    ended = world.release(asked.identity)
    assert ended.phase == "rolled_back"
    assert "before" not in ended.note
