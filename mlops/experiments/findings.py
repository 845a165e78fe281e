"""What the values of two arms say about one metric, at this look."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops.experiments import compare, quantiles, summaries
from mlops.experiments.compare import NOTHING, Interval
from mlops.experiments.plan import Metric
from mlops.experiments.power import Need
from mlops.experiments.sequential import always_valid_p, half_width

Floats = NDArray[np.float64]
Values = tuple[Floats, Floats]
"""Values and denominators of the subjects of an arm."""
LEAST: Final = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One treatment against the control on one metric.

    Attributes:
        arm: Name of the treatment.
        metric: Name of the metric.
        subjects: Of control and treatment, with a value.
        values: Of control and treatment.
        effect: Treatment less control; of a quantile, only its value, in seconds.
        lift: Treatment over control, less 1.
        size: Cohen's d or h.
        p_value: Of "no difference"; of a sequential experiment valid at all looks, the smallest so far.
        within: Whether it is shown that the treatment is not worse by the minimum effect or more.
        futile: Whether it is shown that the treatment is not better by the minimum effect or more.
        harmful: Whether the treatment looks worse by more than the minimum effect.
        gain: Estimated improvement as a share of the control; negative for harm.
        test: How it was found.
    """

    arm: str
    metric: str
    subjects: tuple[int, int]
    values: tuple[float, float]
    effect: Interval
    lift: Interval
    size: Interval
    p_value: float
    within: bool
    futile: bool
    harmful: bool
    gain: float
    test: str


def nothing(arm: str, metric: Metric, subjects: tuple[int, int], least_p: float = 1.0) -> Finding:
    """Return what is found where an arm has too few values to say anything."""
    empty = (np.nan, np.nan)
    return Finding(
        arm, metric.name, subjects, empty, NOTHING, NOTHING, NOTHING, least_p, False, False, False, np.nan, "none yet"
    )


def sequential(
    arm: str, metric: Metric, control: Values, treatment: Values, need: Need, alpha: float, least_p: float
) -> Finding:
    """Compare two arms so that it holds however often that is done.

    Args:
        arm: Name of the treatment.
        metric: What the values are of.
        control: Its values.
        treatment: Its values.
        need: What the plan computed.
        alpha: Of this one comparison.
        least_p: Smallest p-value of earlier looks; 1 at the first.
    """
    counts = len(control[0]), len(treatment[0])
    if min(counts) < LEAST:
        return nothing(arm, metric, counts, least_p)
    if metric.kind == "quantile":
        return _sequential_quantile(arm, metric, control[0], treatment[0], need.mixture, alpha, least_p)
    one, two = summary(metric, control), summary(metric, treatment)
    difference, variance = float(two.estimate - one.estimate), float(two.variance + one.variance)
    if not (np.isfinite(difference) and variance > 0):
        return nothing(arm, metric, counts, least_p)
    away = float(half_width(variance, need.mixture, alpha))
    p_value = min(least_p, float(always_valid_p(difference, variance, need.mixture)))
    return _finding(
        arm, metric, counts, (float(one.estimate), float(two.estimate)),
        Interval(difference, difference - away, difference + away), _always_valid_lift(one, two, need.mixture, alpha),
        _size(metric, control, treatment, alpha), p_value, need.effect, "always-valid interval",
    )  # fmt: skip


def fixed(arm: str, metric: Metric, control: Values, treatment: Values, need: Need, alpha: float) -> Finding:
    """Compare two arms once, at the size that was planned."""
    counts = len(control[0]), len(treatment[0])
    if min(counts) < LEAST:
        return nothing(arm, metric, counts)
    found = _compared(metric, control, treatment, alpha)
    one, two = summary(metric, control), summary(metric, treatment)
    return _finding(
        arm, metric, counts, (float(one.estimate), float(two.estimate)), found.effect, found.lift, found.size,
        found.p_value, need.effect, found.test,
    )  # fmt: skip


def summary(metric: Metric, values: Values) -> summaries.Summary:
    """Summarise one arm."""
    above, below = values
    if metric.kind == "binary":
        return summaries.share(above.sum(), len(above))
    if metric.kind == "ratio":
        return summaries.ratio(above, below)
    if metric.kind == "quantile":
        at = np.quantile(above, metric.quantile)
        return summaries.Summary(np.asarray(float(len(above))), np.asarray(at), np.asarray(np.nan))
    return summaries.mean(above)


def _finding(
    arm: str, metric: Metric, counts: tuple[int, int], values: tuple[float, float], effect: Interval, lift: Interval,
    size: Interval, p_value: float, minimum: float, test: str,
) -> Finding:  # fmt: skip
    # The minimum effect of a quantile is a factor; of anything else a difference, as it was planned, so that a control
    # without a single error can still be compared with.
    within, minimum = (lift, metric.minimum_effect) if metric.kind == "quantile" else (effect, minimum)
    worst, best = sorted(metric.sign * edge for edge in (within.low, within.high))
    gain = metric.sign * effect.value
    if gain:
        gain = gain / abs(values[0]) if values[0] else float(np.copysign(np.inf, gain))
    return Finding(
        arm, metric.name, counts, values, effect, lift, size, p_value,
        bool(worst > -minimum), bool(best < minimum), bool(-metric.sign * within.value > minimum), gain, test,
    )  # fmt: skip


def _sequential_quantile(
    arm: str, metric: Metric, control: Floats, treatment: Floats, mixture: float, alpha: float, least_p: float
) -> Finding:
    counts = len(control), len(treatment)
    at = float(np.quantile(control, metric.quantile)), float(np.quantile(treatment, metric.quantile))
    if not control.min() > 0 or not treatment.min() > 0:
        return nothing(arm, metric, counts, least_p)
    found = quantiles.shares_under(control, treatment, metric.quantile)
    p_value = min(least_p, float(always_valid_p(found.difference, found.variance, mixture)))
    low, high = quantiles.log_ratio_interval(control, treatment, metric.quantile, mixture, alpha)
    lift = Interval(at[1] / at[0] - 1, float(np.expm1(low)), float(np.expm1(high)))
    return _finding(
        arm, metric, counts, at, Interval(at[1] - at[0], np.nan, np.nan), lift, NOTHING, p_value,
        metric.minimum_effect, "always-valid interval of a quantile",
    )  # fmt: skip


def _always_valid_lift(
    control: summaries.Summary, treatment: summaries.Summary, mixture: float, alpha: float
) -> Interval:
    if not (control.estimate > 0 and treatment.estimate > 0):
        return NOTHING
    factor = float(np.log(treatment.estimate / control.estimate))
    variance = control.variance / control.estimate**2 + treatment.variance / treatment.estimate**2
    away = float(half_width(variance, float(mixture / control.estimate**2), alpha))
    return Interval(*(float(np.expm1(each)) for each in (factor, factor - away, factor + away)))


def _size(metric: Metric, control: Values, treatment: Values, alpha: float) -> Interval:
    if metric.kind == "continuous":
        return compare.cohen_d(control[0], treatment[0], alpha)
    if metric.kind == "binary":
        return compare.cohen_h(summary(metric, control), summary(metric, treatment), alpha)
    return NOTHING


def _compared(metric: Metric, control: Values, treatment: Values, alpha: float) -> compare.Comparison:
    if metric.kind == "binary":
        hits = int(control[0].sum()), int(treatment[0].sum())
        return compare.shares(hits, (len(control[0]), len(treatment[0])), alpha)
    if metric.kind == "ratio":
        return compare.ratios(control, treatment, alpha)
    if metric.kind == "quantile":
        return compare.quantiles(control[0], treatment[0], metric.quantile, alpha)
    return compare.means(control[0], treatment[0], alpha)
