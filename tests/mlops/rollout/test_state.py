"""Which moves are legal."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.rollout import state
from mlops.rollout.aliases import wishes
from mlops.rollout.state import ENDED, PHASES, IllegalMove, Release, Step

MOVES: dict[str, Callable[[Release, float], Release]] = {
    "approve": state.approve,
    "reject": lambda release, now: state.reject(release, now, "no"),
    "prepare": state.prepare,
    "start": state.start,
    "advance": state.advance,
    "promote_full": state.promote_full,
    "succeed": state.succeed,
    "pause": state.pause,
    "resume": state.resume,
    "abort": lambda release, now: state.abort(release, now, "enough"),
    "roll_back": lambda release, now: state.roll_back(release, now, "worse"),
    "rolled_back": state.rolled_back,
    "fail": lambda release, now: state.fail(release, now, "broken"),
}
LEGAL = {
    "pending_approval": {"approve": "queued", "reject": "rejected", "abort": "aborted"},
    "queued": {"prepare": "preparing", "abort": "aborted", "fail": "failed"},
    "preparing": {"start": "running", "abort": "aborted", "fail": "failed"},
    "running": {
        "advance": "running",
        "promote_full": "promoting",
        "pause": "paused",
        "abort": "rolling_back",
        "roll_back": "rolling_back",
        "fail": "failed",
    },
    "paused": {
        "promote_full": "promoting",
        "resume": "running",
        "abort": "rolling_back",
        "roll_back": "rolling_back",
        "fail": "failed",
    },
    "promoting": {"succeed": "succeeded", "abort": "rolling_back", "roll_back": "rolling_back"},
    "rolling_back": {"rolled_back": "rolled_back"},
    "succeeded": {"roll_back": "rolling_back"},
}


def at(make_release: Any, phase: str) -> Release:
    promoted = phase in ("promoting", "succeeded")
    made: Release = make_release(phase=phase, step=2 if promoted else 0, step_started=5.0)
    return made


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("move", MOVES)
def test_every_move_from_every_phase(make_release: Any, phase: str, move: str) -> None:
    before = at(make_release, phase)
    expected = LEGAL.get(phase, {}).get(move)
    if expected is None:
        with pytest.raises(IllegalMove, match=phase.replace("_", " ")):
            MOVES[move](before, 9.0)
        return
    after = MOVES[move](before, 9.0)
    assert (after.phase, after.generation, after.updated) == (expected, 1, 9.0)
    assert (after.identity, after.steps, after.created) == (before.identity, before.steps, before.created)


def test_a_release_goes_through_its_steps_to_the_end(make_release: Any) -> None:
    release = state.start(state.prepare(make_release(), 10.0), 20.0)
    assert (release.step, release.step_started, release.current_step) == (0, 20.0, Step(0.1, 60, 50))
    release = state.advance(release, 80.0)
    assert (release.phase, release.step, release.step_started) == ("running", 1, 80.0)
    assert not release.is_promoted
    release = state.advance(release, 140.0)
    assert (release.phase, release.is_promoted, release.current_step) == ("promoting", True, None)
    release = state.succeed(release, 141.0)
    assert (release.phase, release.is_open, release.generation) == ("succeeded", False, 5)


def test_a_shadow_is_never_promoted(make_release: Any) -> None:
    shadow = make_release(strategy="shadow", steps=(Step(0.0, 60, 50),), phase="running", step_started=0.0)
    with pytest.raises(IllegalMove, match="never promoted"):
        state.promote_full(shadow, 1.0)
    ended = state.advance(shadow, 1.0)
    assert (ended.phase, ended.is_promoted) == ("succeeded", False)
    with pytest.raises(IllegalMove, match="nothing to take back"):
        state.roll_back(ended, 2.0, "why not")


def test_a_pause_begins_the_step_anew(make_release: Any) -> None:
    paused = state.pause(make_release(phase="running", step_started=5.0), 10.0, "look first")
    assert (paused.step_started, paused.note) == (5.0, "look first")
    assert state.resume(paused, 99.0).step_started == 99.0


def test_a_note_moves_nothing_and_is_short(make_release: Any) -> None:
    noted = state.noted(make_release(), "x" * 9000)
    assert (noted.generation, noted.phase, len(noted.note)) == (0, "queued", 500)


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=30))
def test_whatever_is_tried_an_end_is_only_left_by_taking_back_a_promotion(moves: list[str]) -> None:
    steps = (Step(0.1, 60, 50), Step(0.5, 60, 50))
    release = Release("i", "e", "m", "canary", "2", "b", "1", "a", steps, "low", "ada", "why", 0.0, 0.0)
    champion = "1"
    for name in moves:
        try:
            after = MOVES[name](release, 1.0)
        except IllegalMove:
            continue
        assert after.generation == release.generation + 1
        if release.phase in ENDED:
            assert (release.phase, after.phase) == ("succeeded", "rolling_back")
        champion = wishes(release, after).get("champion", champion) or champion
        release = after
    if release.phase in ("succeeded", "promoting"):
        assert champion == "2"
    else:
        assert champion == "1"


@pytest.mark.parametrize(
    ("before", "move", "expected"),
    [
        ("queued", "prepare", {}),
        ("preparing", "start", {"challenger": "2"}),
        ("running", "pause", {}),
        ("paused", "resume", {}),
        ("running", "promote_full", {"champion": "2", "previous": "1", "challenger": None}),
        ("promoting", "succeed", {}),
        ("running", "abort", {"challenger": None}),
        ("running", "fail", {"challenger": None}),
        ("promoting", "roll_back", {"champion": "1", "previous": None, "challenger": None}),
        ("succeeded", "roll_back", {"champion": "1", "previous": None, "challenger": None}),
        ("rolling_back", "rolled_back", {}),
    ],
)
def test_aliases_follow_from_moves(make_release: Any, before: str, move: str, expected: dict[str, str]) -> None:
    release = at(make_release, before)
    assert wishes(release, MOVES[move](release, 1.0)) == expected


def test_the_same_version_with_another_policy_is_not_its_own_previous(make_release: Any) -> None:
    release = make_release(candidate="1", candidate_digest="a" * 64, policy={"threshold": 0.3}, phase="running")
    assert wishes(release, state.promote_full(release, 1.0)) == {"champion": "1", "challenger": None}
