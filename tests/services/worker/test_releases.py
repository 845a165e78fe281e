"""The release loop over a real database and a real folder of bundles: how strategies go, and what people do."""

from dataclasses import replace

import numpy as np
import pytest

from mlops.audit import AuditLog
from mlops.rollout.guard import Window
from mlops.rollout.state import Step
from mlops.rollout.store import new_identity
from mlops.rollout.strategies import Wish, plan
from mlops.rollout.traffic import Split, effective, read_split
from mlops.settings import load_settings
from tests.services.worker.release_world import ENDPOINT, GOOD, MODEL, SETTINGS, World


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


@pytest.mark.parametrize(
    ("replicas", "shares"),
    [(1, [1.0, 1.0, 1.0]), (2, [0.5, 0.5, 1.0]), (3, [1 / 3, 2 / 3, 1.0]), (20, [0.25, 0.5, 1.0])],
)
def test_a_rolling_release_changes_replica_after_replica_over(world: World, replicas: int, shares: list[float]) -> None:
    world.replicas = frozenset(f"replica-{number}" for number in range(replicas))
    asked = world.ask("rolling", steps=tuple(Step(share, 60, 50) for share in (0.25, 0.5, 1.0)))
    changed: frozenset[str] = frozenset()
    world.tick()
    for share in shares:
        assert (world.weight(), changed <= world.changed()) == (share, True)
        changed = world.changed()
        # Of the last replica nothing is left to the baseline, so what that did before is what counts.
        world.baseline = Window() if share == 1 else GOOD
        world.before = GOOD
        world.tick(61)
    assert (world.release(asked.identity).phase, world.champion()) == ("succeeded", "2")


def test_a_replica_that_falls_over_the_candidate_has_no_other_follow_it(world: World) -> None:
    world.replicas = frozenset({"a", "b"})
    asked = world.ask("rolling")
    world.tick()
    fallen = world.changed()
    assert len(fallen) == 1
    world.candidate = Window()
    world.replicas -= fallen
    for restarted in (False, True):
        if restarted:
            world.restart()
        world.tick(61)
        assert (world.changed(), world.release(asked.identity).step) == (frozenset(), 0)
    assert "the candidate has" in world.release(asked.identity).note
    world.replicas |= fallen
    world.tick()
    assert world.changed() == fallen


def test_a_rolling_release_waits_for_replicas(world: World) -> None:
    world.replicas, world.candidate = frozenset(), Window()
    asked = world.ask("rolling")
    world.tick()
    world.tick(61)
    world.replicas = frozenset({"a", "b"})
    assert (world.changed(), world.release(asked.identity).step) == (frozenset(), 0)
    world.candidate = GOOD
    world.tick(61)
    world.tick()
    assert world.weight() == 0.5


def test_a_rolling_release_goes_on_where_its_split_was_damaged(world: World) -> None:
    asked = world.ask("rolling")
    world.tick()
    (world.root / MODEL / "traffic.json").write_text("{")
    world.tick(1)
    assert (world.release(asked.identity).phase, world.changed()) == ("running", world.replicas)


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


def test_a_word_is_carried_out_at_one_look_and_seen_at_the_next_both_of_which_are_soon(world: World) -> None:
    settings = load_settings(environ={})
    assert settings.rollout.tick_seconds + settings.registry.traffic_seconds <= 2
    asked = world.ask()
    for seconds in (0, 61, 61, 0):
        world.tick(seconds)
    assert (world.release(asked.identity).phase, world.weight()) == ("succeeded", 1.0)
    world.act(asked, "roll_back", "it is worse after all")
    world.tick()
    assert (world.release(asked.identity).phase, world.weight()) == ("rolled_back", 0.0)


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
