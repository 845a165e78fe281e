from collections.abc import Callable

import pytest

from mlops.experiments.plan import Arm, Metric, Plan, PlanError
from mlops.experiments.power import Expected, duration

ERRORS = Metric("errors", "binary", "error", baseline=0.05, minimum_effect=0.5)


def arms(*given: tuple[str, str, float]) -> tuple[Arm, ...]:
    return tuple(Arm(*each) for each in given)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "p 95"}, "named by"),
        ({"kind": "median"}, "kinds of metrics"),
        ({"source": "counts"}, "values come from"),
        ({"per": "counts."}, "values come from"),
        ({"minimum_effect": 0.0}, "minimum_effect"),
        ({"kind": "quantile", "source": "error"}, "quantiles are of seconds"),
        ({"quantile": 1.0}, "quantile"),
        ({"history": True}, "history"),
        ({"deviation": 0.0}, "deviation"),
        ({"baseline": 1.0}, "less than 1"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        Metric(**{"name": "m", "kind": "binary", "source": "error"} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arms": arms(("champion", "1", 0.5))}, "2 to"),
        ({"arms": arms(("control", "1", 0.5), ("b", "2", 0.5))}, "called champion"),
        ({"arms": arms(("champion", "1", 0.5), ("b", "2", 0.6))}, "sum to 1"),
        ({"arms": arms(("champion", "1", 0.5), ("b", "1", 0.5))}, "differ from the control"),
        ({"arms": arms(("champion", "1", 0.4), ("b", "2", 0.3), ("b", "3", 0.3))}, "a name of its own"),
        ({"longest_seconds": 10.0, "window_seconds": 10.0}, "exceed the window"),
        ({"alpha": 0.5}, "alpha"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    plan_of: Callable[..., Plan], changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(PlanError, match=sentence):
        plan_of(ERRORS, **changes)


def test_outcomes_need_time_to_come(plan_of: Callable[..., Plan]) -> None:
    kept = Metric("kept", "binary", "outcome.kept", better="higher", baseline=0.5)
    with pytest.raises(PlanError, match="window"):
        plan_of(kept)
    assert plan_of(kept, window_seconds=60.0)


def test_a_fixed_size_is_that_of_the_textbook(plan_of: Callable[..., Plan]) -> None:
    """Two shares of 50 % and 60 %, alpha 5 %, power 80 %: 385 in each arm (normal approximation)."""
    metric = Metric("m", "binary", "error", better="higher", baseline=0.5, minimum_effect=0.2)
    # A tenth of alpha watches for harm on the way.
    needs = duration(plan_of(metric, method="fixed", alpha=0.05 / 0.9), {}, 1000)
    assert needs.subjects / 2 == pytest.approx(385, abs=1)
    assert needs.days == pytest.approx(needs.subjects / 1000)


def test_looks_smaller_effects_more_questions_and_small_arms_cost_subjects(plan_of: Callable[..., Plan]) -> None:
    def needed(*metrics: Metric, **changes: object) -> int:
        return duration(plan_of(*metrics, **changes), {}, 100).subjects

    plain = needed(ERRORS)
    assert plain > needed(ERRORS, method="fixed")
    assert needed(Metric("errors", "binary", "error", baseline=0.05, minimum_effect=0.25)) > 3 * plain
    assert needed(ERRORS, Metric("other", "binary", "error", baseline=0.05, minimum_effect=0.9)) > plain
    assert needed(ERRORS, arms=arms(("champion", "1", 0.9), ("b", "2", 0.1))) > plain
    assert needed(ERRORS, least_subjects=10**6) == 2 * 10**6


def test_the_past_is_taken_where_the_plan_says_nothing(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(Metric("slow", "continuous", "seconds"))
    assert duration(plan, {"slow": Expected(2.0, 1.0)}, 100).subjects > 0
    with pytest.raises(PlanError, match="no past predictions tell its baseline and deviation"):
        duration(plan, {}, 100)


def test_nobody_comes_and_no_experiment_fits(plan_of: Callable[..., Plan]) -> None:
    needs = duration(plan_of(ERRORS), {}, 0.0)
    assert needs.days == float("inf")
    assert not needs.fits


def test_a_share_cannot_leave_0_to_1(plan_of: Callable[..., Plan]) -> None:
    metric = Metric("m", "binary", "error", better="higher", baseline=0.9, minimum_effect=0.2)
    with pytest.raises(PlanError, match="no share"):
        duration(plan_of(metric), {}, 100)


def test_no_effect_is_a_share_of_nothing(plan_of: Callable[..., Plan]) -> None:
    with pytest.raises(PlanError, match="was 0 in the past"):
        duration(plan_of(Metric("errors", "binary", "error")), {"errors": Expected(0.0, 0.0)}, 100)
