from collections.abc import Callable

import pytest

from mlops.audit import AuditLog
from mlops.experiments import state
from mlops.experiments.observations import Outcome
from mlops.experiments.plan import Metric, Plan
from mlops.experiments.power import duration
from mlops.experiments.state import Experiment
from mlops.experiments.store import ExperimentStore
from mlops.rollout.state import IllegalMove
from mlops.rollout.store import Conflict, Unknown, new_identity

ERRORS = Metric("errors", "binary", "error", baseline=0.2, minimum_effect=0.5)


def draft(plan: Plan, a_day: float = 10_000.0, created: float = 1.0) -> Experiment:
    return Experiment(new_identity(), plan, duration(plan, {}, a_day), "draft", "ada", "to know", created)


def test_what_is_kept_comes_back(store: ExperimentStore, plan_of: Callable[..., Plan]) -> None:
    made = store.create(draft(plan_of(ERRORS, window_seconds=5.0)))
    assert store.get(made.identity) == made
    nobody = store.create(draft(plan_of(ERRORS), 0.0, created=2.0))
    assert store.get(nobody.identity).needs.days == float("inf")
    assert [each.identity for each in store.list()] == [nobody.identity, made.identity]
    assert store.list("voices") == []
    with pytest.raises(Unknown):
        store.get("nobody")


def test_from_draft_to_decision_with_every_move_in_the_audit_log(
    store: ExperimentStore, plan_of: Callable[..., Plan]
) -> None:
    made = store.create(draft(plan_of(ERRORS)))
    assert store.active() == []
    running = store.act(made.identity, "ada", "start", state.start)
    assert [each.identity for each in store.active()] == [made.identity]
    store.move(running, state.hold(running), "hold")
    stopped = store.act(made.identity, "bob", "stop", lambda each, now: state.stop(each, now, "enough"), "enough")
    assert [each.state for each in store.active()] == ["stopped"]
    store.move(stopped, state.free(stopped), "free")
    assert store.active() == []
    store.act(made.identity, "ada", "decide", lambda each, _: state.decide(each, "ship", "challenger"), "better")
    log = AuditLog(store.database)
    assert log.verify() is None
    assert [each.action.split(".")[1] for each in log.entries(subject=made.identity)][::-1] == [
        "create", "start", "hold", "stop", "free", "decide",
    ]  # fmt: skip


def test_moves_that_make_no_sense_are_refused(plan_of: Callable[..., Plan]) -> None:
    made = draft(plan_of(ERRORS))
    running = state.start(made, 2.0)
    stopped = state.stop(running, 3.0, "enough")
    with pytest.raises(IllegalMove, match="running and cannot be started"):
        state.start(running, 3.0)
    with pytest.raises(IllegalMove, match="stopped and cannot be stopped"):
        state.stop(stopped, 4.0, "again")
    with pytest.raises(IllegalMove, match="only a stopped one"):
        state.decide(running, "roll back", "")
    with pytest.raises(IllegalMove, match="challenger can be shipped"):
        state.decide(stopped, "ship", "champion")


def test_one_that_could_not_end_is_refused_unless_forced(plan_of: Callable[..., Plan]) -> None:
    slow = draft(plan_of(ERRORS), a_day=5.0)
    with pytest.raises(IllegalMove, match=r"subjects, which takes about .* days; its longest duration is 11\.6 days"):
        state.start(slow, 2.0)
    assert state.start(slow, 2.0, force=True).forced
    with pytest.raises(IllegalMove, match="nobody comes"):
        state.start(draft(plan_of(ERRORS), a_day=0.0), 2.0)


def test_two_who_move_at_once_do_not_both_win(store: ExperimentStore, plan_of: Callable[..., Plan]) -> None:
    made = store.create(draft(plan_of(ERRORS)))
    store.act(made.identity, "ada", "start", state.start)
    with pytest.raises(Conflict):
        store.move(made, state.stop(made, 1.0, "late"), "stop")


def test_outcomes_are_taken_once_and_only_of_what_has_begun(
    store: ExperimentStore, plan_of: Callable[..., Plan]
) -> None:
    made = store.create(draft(plan_of(ERRORS)))
    said = [Outcome(5.0, "a" * 32, "kept", 1.0), Outcome(6.0, "a" * 32, "kept", 1.0)]
    with pytest.raises(IllegalMove, match="not been started"):
        store.add_outcomes(made.identity, said)
    store.act(made.identity, "ada", "start", state.start)
    assert store.add_outcomes(made.identity, said) == 2
    assert store.add_outcomes(made.identity, [*said, Outcome(7.0, "b" * 32, "kept", 0.0)]) == 1
    assert store.add_outcomes(made.identity, []) == 0
    assert sorted(each.time for each in store.outcomes(made.identity)) == [5.0, 6.0, 7.0]


def test_a_look_is_kept_only_of_what_has_not_moved(store: ExperimentStore, plan_of: Callable[..., Plan]) -> None:
    made = store.create(draft(plan_of(ERRORS)))
    running = store.act(made.identity, "ada", "start", state.start)
    store.keep_look(running, {"sentence": "Wait."}, {("challenger", "errors"): 0.4}, 9.0)
    kept = store.get(made.identity)
    assert (kept.look, kept.looked) == ({"sentence": "Wait."}, 9.0)
    assert kept.least_p == {("challenger", "errors"): 0.4}
    store.keep_look(made, {"sentence": "Old."}, {}, 10.0)
    assert store.get(made.identity).look == {"sentence": "Wait."}
