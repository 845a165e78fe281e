"""What each strategy goes through, and how traffic is split meanwhile."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from mlops.rollout import state
from mlops.rollout.state import PHASES, IllegalMove, Step
from mlops.rollout.strategies import Wish, plan, split_of
from mlops.settings import load_settings

SETTINGS = load_settings(
    environ={
        "MASKER_ROLLOUT__CANARY_WEIGHTS": "0.01, 0.2",
        "MASKER_ROLLOUT__ROLLING_SHARES": "0.5,1",
        "MASKER_ROLLOUT__STEP_SECONDS": "60",
        "MASKER_ROLLOUT__STEP_REQUESTS": "70",
        "MASKER_ROLLOUT__CHALLENGER_WEIGHT": "0.3",
    }
).rollout
WISH = Wish("faces", "face-detector", "canary", ("2", "b" * 64), ("1", "a" * 64), "low", "ada", "it is better")


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        ("canary", (Step(0.01, 60, 70), Step(0.2, 60, 70))),
        ("rolling", (Step(0.5, 60, 70), Step(1.0, 60, 70))),
        ("blue-green", (Step(1.0, 60, 70),)),
        ("shadow", (Step(0.0, 60, 70),)),
        ("champion-challenger", (Step(0.3, inf, 70),)),
    ],
)
def test_each_strategy_has_its_steps(strategy: str, steps: tuple[Step, ...]) -> None:
    release = plan("r", replace(WISH, strategy=strategy), SETTINGS, 5.0)
    assert release.steps == steps
    assert (release.phase, release.created, release.requested_by, release.risk) == ("queued", 5.0, "ada", "low")
    assert split_of(release) is None


def test_steps_can_be_others() -> None:
    steps = (Step(0.5, 1, 1), Step(1.0, 2, 3))
    assert plan("r", replace(WISH, steps=steps), SETTINGS, 5.0).steps == steps


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"strategy": "big-bang"}, "strategies are"),
        ({"risk": "none"}, "risks are"),
        ({"reason": " "}, "reason"),
        ({"requested_by": " "}, "somebody"),
        ({"candidate": ("2", "")}, "digest"),
        ({"candidate": ("1", "a" * 64)}, "champion already"),
        ({"steps": (Step(0.5, 1, 1), Step(0.2, 1, 1))}, "grow"),
        ({"steps": (Step(0.5, 1, 1), Step(0.5, 1, 1))}, "grow"),
        ({"steps": (Step(0.0, 1, 1), Step(0.5, 1, 1))}, "only a shadow"),
        ({"steps": (Step(1.5, 1, 1),)}, "from 0 to 1"),
        ({"steps": (Step(float("nan"), 1, 1),)}, "from 0 to 1"),
        ({"steps": (Step(0.5, -1, 1),)}, "time"),
        ({"steps": (Step(0.5, float("nan"), 1),)}, "time"),
        ({"steps": (Step(0.5, 1, 0),)}, "minimum"),
        ({"steps": tuple(Step(0.001 * n, 1, 1) for n in range(1, 200))}, "steps"),
        ({"strategy": "shadow", "steps": (Step(0.1, 1, 1),)}, "weight 0"),
        ({"strategy": "blue-green", "steps": (Step(0.1, 1, 1),)}, "weight 1"),
        ({"strategy": "champion-challenger", "steps": (Step(0.1, inf, 1), Step(0.2, inf, 1))}, "one step"),
        ({"strategy": "champion-challenger", "steps": (Step(0.1, 60, 1),)}, "a person ends it"),
    ],
)
def test_what_makes_no_sense_is_refused(others: dict[str, Any], told: str) -> None:
    with pytest.raises(IllegalMove, match=told):
        plan("r", replace(WISH, **others), SETTINGS, 5.0)


def test_the_champion_s_version_with_another_policy_is_a_release() -> None:
    release = plan("r", replace(WISH, candidate=WISH.baseline, policy={"threshold": 0.3}), SETTINGS, 5.0)
    split = split_of(state.start(state.prepare(release, 6.0), 7.0))
    assert split is not None
    assert [(each.version, each.policy) for each in split.variants] == [("1", {}), ("1", {"threshold": 0.3})]


@pytest.mark.parametrize("phase", PHASES)
def test_only_a_release_that_runs_splits_anything(make_release: Any, phase: str) -> None:
    split = split_of(make_release(phase=phase))
    assert (split is not None) == (phase in ("running", "paused", "promoting"))


def test_a_canary_gets_the_weight_of_its_step_and_nobody_is_drawn_anew(make_release: Any) -> None:
    release = make_release(phase="running", policy={"threshold": 0.3}, baseline_policy={"style": "blur"})
    first, second = split_of(release), split_of(replace(release, step=1))
    assert first is not None
    assert second is not None
    assert [(each.name, each.version, each.weight) for each in first.variants] == [
        ("champion", "1", 0.9),
        ("challenger", "2", 0.1),
    ]
    assert [each.policy for each in first.variants] == [{"style": "blur"}, {"threshold": 0.3}]
    assert second.variants[1].weight == 0.5
    assert first.salt == second.salt == first.release == release.identity
    assert first.rolling is None
    assert split_of(replace(release, phase="promoting", step=2)) is None


def test_a_shadow_has_no_weight_and_blue_green_has_it_all(make_release: Any) -> None:
    shadow = split_of(make_release(strategy="shadow", steps=(Step(0.0, 1, 1),), phase="running"))
    assert shadow is not None
    assert [(each.weight, each.shadow) for each in shadow.variants] == [(1.0, False), (0.0, True)]
    green = split_of(make_release(strategy="blue-green", steps=(Step(1.0, 1, 1),), phase="running"))
    assert green is not None
    assert [each.weight for each in green.variants] == [0.0, 1.0]


def test_a_rolling_release_goes_by_replica(make_release: Any) -> None:
    rolling = split_of(make_release(strategy="rolling", phase="running"))
    assert rolling is not None
    assert rolling.rolling == 0.1
