"""How many subjects an experiment needs to find its minimum effects, and how many days that takes.

Sources: Chow, Shao, Wang, "Sample size calculations in clinical research" for the fixed size; the recursion in
`mlops.experiments.sequential` for a size at which looks in between are paid for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf, log1p, sqrt
from typing import Final

from scipy import stats

from mlops.experiments.plan import LEAST_VALUE, MOST_VALUE, Metric, Plan, PlanError, ask
from mlops.experiments.quantiles import planned_difference
from mlops.experiments.sequential import mixture_for, needed_drift

LOOKS: Final = 50
"""Looks that the plan counts with; more of them find an effect a little sooner, and never too often."""
DAY: Final = 86400.0
LEAST_EFFECT: Final = 1e-6
QUANTILES: Final = (1e-4, 1 - 1e-4)
"""Quantiles that can be planned with."""
MOST_SUBJECTS: Final = 10**12
"""More than there are people."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the past says of a metric.

    Attributes:
        baseline: The control's value.
        deviation: Standard deviation over subjects; of a quantile, of logarithms.
    """

    baseline: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Need:
    """What one metric needs.

    Attributes:
        effect: Difference to be found, or tolerated, on the scale that is tested (of shares for quantiles, else of
            values), > 0.
        mixture: Variance of the effects that always-valid intervals mix over, on that scale squared.
        subjects: Subjects of all arms together.
    """

    effect: float
    mixture: float
    subjects: int


@dataclass(frozen=True, slots=True)
class Duration:
    """What an experiment needs.

    Attributes:
        needs: By metric.
        subjects: Of all arms together, for the metric that needs the most.
        days: Until so many have come, their window included; infinite where nobody comes.
        fits: Whether that is within the longest duration.
    """

    needs: Mapping[str, Need]
    subjects: int
    days: float
    fits: bool


def duration(plan: Plan, past: Mapping[str, Expected], subjects_a_day: float) -> Duration:
    """Compute what a plan needs.

    Args:
        plan: The plan.
        past: What to take for metrics that have no baseline or deviation of their own, by name.
        subjects_a_day: New subjects of the endpoint.

    Raises:
        PlanError: Neither plan nor past say what a metric is to be compared with, or a number is beyond what can be
            planned with.
    """
    needs = {metric.name: need(plan, metric, _expected(metric, past.get(metric.name))) for metric in plan.metrics}
    ask(plan.least_subjects <= MOST_SUBJECTS, f"least_subjects is {MOST_SUBJECTS:.0e} at most")
    least = _count("its least number of subjects in every arm", plan.least_subjects / min(a.weight for a in plan.arms))
    subjects = max(least, *(each.subjects for each in needs.values()))
    seconds = (subjects / subjects_a_day * DAY if subjects_a_day > 0 else inf) + plan.window_seconds
    return Duration(needs, subjects, seconds / DAY, seconds <= plan.longest_seconds)


def need(plan: Plan, metric: Metric, expected: Expected) -> Need:
    """Compute what one metric needs in the smallest of the treatments.

    Raises:
        PlanError: The effect leaves what the metric can be, or a number is beyond what can be planned with.
    """
    _check(metric, expected)
    change = metric.minimum_effect * (1 if metric.role == "primary" else -1) * metric.sign
    if change <= -1:
        raise PlanError(f"{metric.name}: a value cannot fall by {metric.minimum_effect:.0%} of itself")
    effect, control, treatment = _scale(metric, expected, change)
    ask(effect > 0, f"{metric.name}: its effect is nothing beside its deviation; give a larger minimum_effect")
    drift = drift_of(plan)
    weight = min(arm.weight for arm in plan.treatments)
    information = (drift / effect) ** 2
    subjects = _count(metric.name, information * (control / plan.arms[0].weight + treatment / weight))
    return Need(effect, mixture_for(effect, plan.each(plan.alpha_early), plan.power, LOOKS), subjects)


def drift_of(plan: Plan) -> float:
    """Return how many standard errors the minimum effect has to be at the planned size."""
    alpha = plan.each(plan.alpha_last)
    if plan.method == "sequential":
        return needed_drift(alpha, plan.power, LOOKS)
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(plan.power))


def _scale(metric: Metric, expected: Expected, change: float) -> tuple[float, float, float]:
    """Return the effect, and the variance that a subject of either arm adds, on the scale that is tested."""
    base = expected.baseline
    if metric.kind == "quantile":
        # Within shares of one bound: about half of the change to either side, and its variance at that bound.
        inside = metric.quantile * (1 - metric.quantile)
        return abs(planned_difference(metric.quantile, expected.deviation, log1p(change))), inside, inside
    if metric.kind == "binary":
        other = base * (1 + change) if metric.role == "primary" else base
        if not 0 < base < 1 or not 0 < base * (1 + change) < 1:
            raise PlanError(f"{metric.name}: {base:.4g} changed by {change:+.0%} is no share between 0 and 1")
        return abs(base * change), base * (1 - base), other * (1 - other)
    variance = expected.deviation**2
    return abs(base * change), variance, variance


def _check(metric: Metric, expected: Expected) -> None:
    """Refuse what could be computed with no more, or would ask for what nobody can have."""
    least, most = QUANTILES
    ask(metric.minimum_effect >= LEAST_EFFECT, f"{metric.name}: minimum_effect is {LEAST_EFFECT:.0e} at least")
    ask(metric.kind != "quantile" or least <= metric.quantile <= most, f"{metric.name}: quantile is in {QUANTILES}")
    for name, value in (("baseline", expected.baseline), ("deviation", expected.deviation)):
        ask(
            LEAST_VALUE <= abs(value) <= MOST_VALUE,
            f"{metric.name}: its {name} is {value:.4g}, and plans are of {LEAST_VALUE:.0e} to {MOST_VALUE:.0e}; "
            "measure it in another unit",
        )


def _count(what: str, subjects: float) -> int:
    ask(
        subjects <= MOST_SUBJECTS,
        f"{what} would take {subjects:.0e} subjects, and {MOST_SUBJECTS:.0e} are the most; give a larger "
        "minimum_effect, a smaller deviation, fewer least_subjects, or larger weights",
    )
    return ceil(subjects)


def _expected(metric: Metric, past: Expected | None) -> Expected:
    baseline = metric.baseline if metric.baseline is not None else past and past.baseline
    deviation = metric.deviation if metric.deviation is not None else past and past.deviation
    if metric.kind == "binary" and baseline:
        deviation = sqrt(max(baseline * (1 - baseline), 0.0))
    if metric.kind == "quantile" and deviation:
        baseline = baseline or 1.0
    if baseline == 0:
        raise PlanError(f"{metric.name}: was 0 in the past, and no effect is a share of 0; give a baseline")
    if not baseline or not deviation:
        raise PlanError(
            f"{metric.name}: no past predictions tell its baseline"
            f"{'' if metric.kind == 'binary' else ' and deviation'}; give them"
        )
    return Expected(baseline, deviation)
