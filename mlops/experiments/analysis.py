"""One look at an experiment: observations in, health, findings and verdict out. Nothing is read or written here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mlops.experiments import corrections, findings
from mlops.experiments.cuped import adjusted
from mlops.experiments.findings import Finding, Floats, Values
from mlops.experiments.health import Health, check
from mlops.experiments.observations import Observations
from mlops.experiments.plan import Metric, Plan
from mlops.experiments.power import Duration
from mlops.experiments.verdict import Judged, Progress, Verdict, decide, judged

Key = tuple[str, str]
"""Name of an arm, name of a metric."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look gave.

    Attributes:
        health: Whether the rest can be believed.
        found: Every treatment on every metric.
        verdict: The answer.
        progress: How far the experiment is.
        least_p: Smallest p-value so far of each comparison, for the next look.
    """

    health: Health
    found: tuple[Judged, ...]
    verdict: Verdict
    progress: Progress
    least_p: Mapping[Key, float]


def look(
    plan: Plan,
    needs: Duration,
    seen: Observations,
    past: Mapping[str, Mapping[str, float]],
    least_p: Mapping[Key, float],
    seconds: float,
) -> Look:
    """Look at an experiment.

    Args:
        plan: The plan.
        needs: What it was computed to need before it started.
        seen: What was seen of its subjects.
        past: By metric with ``history``, values of subjects before the experiment.
        least_p: What the look before this one gave; empty at the first.
        seconds: Since the experiment began.
    """
    subjects = {arm.name: len(seen.subjects[arm.name]) for arm in plan.arms}
    health = check(plan, [seen.exposed[arm.name] for arm in plan.arms], seen.crossed)
    # Who has been seen is enough for the ratio; who counts is what says that there are enough.
    health = replace(health, enough=min(subjects.values()) >= plan.least_subjects)
    progress = Progress(seconds, sum(subjects.values()), needs.subjects)
    final = plan.method == "sequential" or progress.subjects >= needs.subjects
    found: list[Finding] = []
    for metric in plan.metrics:
        values = _values(plan, metric, seen, past.get(metric.name))
        for arm in plan.treatments:
            pair = values[plan.arms[0].name], values[arm.name]
            # What a double cannot tell is no number, and told as none.
            with np.errstate(all="ignore"):
                found.append(_finding(plan, needs, metric, arm.name, pair, least_p, health.enough, final))
    corrected = corrections.holm([each.p_value for each in found])
    told = judged(plan, found, [float(p) for p in corrected], final and health.enough)
    smallest = {(each.arm, each.metric): each.p_value for each in found}
    return Look(health, tuple(told), decide(plan, told, health, progress), progress, smallest)


def _finding(
    plan: Plan, needs: Duration, metric: Metric, arm: str, pair: tuple[Values, Values],
    least_p: Mapping[Key, float], enough: bool, final: bool,
) -> Finding:  # fmt: skip
    if plan.method == "fixed" and final:
        return findings.fixed(arm, metric, *pair, needs.needs[metric.name], plan.each(plan.alpha_last))
    before = least_p.get((arm, metric.name), 1.0)
    if not enough:
        return findings.nothing(arm, metric, (len(pair[0][0]), len(pair[1][0])), before)
    return findings.sequential(arm, metric, *pair, needs.needs[metric.name], plan.each(plan.alpha_early), before)


def _values(plan: Plan, metric: Metric, seen: Observations, past: Mapping[str, float] | None) -> dict[str, Values]:
    values = {arm.name: seen.values(arm.name, metric) for arm in plan.arms}
    if not metric.history or past is None:
        return values
    before: list[Floats] = [
        np.array([past.get(who, np.nan) for who in seen.who(arm.name, metric)], np.float64) for arm in plan.arms
    ]
    above = adjusted([values[arm.name][0] for arm in plan.arms], before)
    return {arm.name: (each, values[arm.name][1]) for arm, each in zip(plan.arms, above, strict=True)}
