"""Simulated experiments: how often nothing is taken for something, and how often the minimum effect is found.

    python -m benchmarks.experiments

Every kind of metric is simulated 2,000 times, looked at 50 times on the way to its planned size, once without any
difference (A/A) and once with the smallest that was planned for. Then whole experiments are run through the analysis
that answers people, guardrail, corrections and sample ratio included.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlops.experiments import quantiles, summaries
from mlops.experiments.analysis import look
from mlops.experiments.observations import Row, observe
from mlops.experiments.plan import Arm, Method, Metric, Plan
from mlops.experiments.power import LOOKS, Duration, Expected, duration, need
from mlops.experiments.sequential import always_valid_p, needed_drift
from mlops.experiments.summaries import Summary

Floats = NDArray[np.float64]
Running = Callable[[int], Summary]
"""Summaries of the first so many subjects of every simulated arm."""
Simulate = Callable[[Metric, float, np.random.Generator, float, int], float]
"""Metric, baseline, random numbers, true change as a share, and trials in; share of trials that cried out."""
TRIALS: Final = 2000
LEAST: Final = 100
ALPHA: Final = 0.05
POWER: Final = 0.8
METHODS: Final[tuple[Method, ...]] = ("sequential", "fixed")
WHOLE_TRIALS: Final = 500
WHOLE_LOOKS: Final = 10


def plan_of(*metrics: Metric, method: Method = "sequential") -> Plan:
    """Return a plan with two even arms."""
    arms = (Arm("champion", "1", 0.5), Arm("challenger", "2", 0.5))
    return Plan("faces", "face-detector", arms, metrics, ALPHA, POWER, 1e9, 0.0, LEAST, method)


def looks(subjects: int) -> list[int]:
    """Return after how many subjects of an arm it is looked."""
    return [count for look in range(1, LOOKS + 1) if (count := subjects * look // LOOKS) >= LEAST]


def binary(metric: Metric, base: float, random: np.random.Generator, change: float, trials: int = TRIALS) -> float:
    """Simulate yes and no."""
    asked = need(plan_of(metric), metric, Expected(base, 1.0))
    size = asked.subjects // 2

    def arm(rate: float) -> Running:
        hits = np.cumsum(random.random((trials, size), np.float32) < rate, axis=1, dtype=np.int32)
        return lambda count: summaries.share(hits[:, count - 1], count)

    return _cried(arm(base), arm(base * (1 + change)), size, asked.mixture)


def continuous(metric: Metric, base: float, random: np.random.Generator, change: float, trials: int = TRIALS) -> float:
    """Simulate log-normal values, as times and sizes are; shifted, so that their deviation is the one planned with."""
    asked = need(plan_of(metric), metric, Expected(base, float(np.sqrt(np.expm1(1.0)) * base)))
    size = asked.subjects // 2

    def arm(shift: float) -> Running:
        return running(np.exp(random.standard_normal((trials, size), np.float32) - 0.5) * base + shift)

    return _cried(arm(0.0), arm(base * change), size, asked.mixture)


def ratio(metric: Metric, base: float, random: np.random.Generator, change: float, trials: int = TRIALS) -> float:
    """Simulate subjects with several requests, and with a taste of their own for pictures of crowds."""

    def draw(subjects: int, more: float, rows: int) -> tuple[Floats, Floats]:
        below = np.asarray(1.0 + random.poisson(2.0, (rows, subjects)), np.float64)
        taste = random.gamma(2.0, base / 2, (rows, subjects))
        return np.asarray(random.poisson(taste * below) + more * below, np.float64), below

    deviation = float(summaries.linearised(*draw(200_000, 0.0, 1)).std())
    asked = need(plan_of(metric), metric, Expected(base, deviation))
    size = asked.subjects // 2

    def arm(more: float) -> Running:
        above, below = draw(size, more, trials)
        return lambda count: summaries.ratio(above[:, :count], below[:, :count])

    return _cried(arm(0.0), arm(base * change), size, asked.mixture)


def quantile(metric: Metric, base: float, random: np.random.Generator, change: float, trials: int = TRIALS) -> float:
    """Simulate log-normal times, each of the treatment's longer by the same factor."""
    spread = 0.5
    asked = need(plan_of(metric), metric, Expected(base, spread))
    size = asked.subjects // 2
    one = random.standard_normal((trials, size), np.float32) * np.float32(spread)
    two = random.standard_normal((trials, size), np.float32) * np.float32(spread) + np.float32(np.log1p(change))
    cried = np.zeros(trials, bool)
    for count in looks(size):
        shares = quantiles.shares_under(one[:, :count], two[:, :count], metric.quantile)
        cried |= always_valid_p(shares.difference, shares.variance, asked.mixture) <= ALPHA
    return float(cried.mean())


def peeked(random: np.random.Generator, trials: int = TRIALS, subjects: int = 2500) -> float:
    """Return how often an interval that is right at one look cries wolf at fifty: what all this is about."""
    one, two = (running(random.standard_normal((trials, subjects))) for _ in range(2))
    cried = np.zeros(trials, bool)
    for count in looks(subjects):
        control, treatment = one(count), two(count)
        score = (treatment.estimate - control.estimate) / np.sqrt(treatment.variance + control.variance)
        cried |= np.abs(score) > stats.norm.ppf(1 - ALPHA / 2)
    return float(cried.mean())


CASES: Final[Mapping[str, tuple[Simulate, Metric, float]]] = {
    "binary, 2 %": (binary, Metric("m", "binary", "error", minimum_effect=0.8), 0.02),
    "binary, 50 %": (binary, Metric("m", "binary", "error", better="higher", minimum_effect=0.15), 0.5),
    "continuous, log-normal": (continuous, Metric("m", "continuous", "seconds", minimum_effect=0.18), 2.0),
    "ratio, faces per request": (ratio, Metric("m", "ratio", "counts.faces", minimum_effect=0.2), 3.0),
    "quantile, p95 of times": (quantile, Metric("m", "quantile", "seconds", minimum_effect=0.2), 1.0),
}


def running(values: Floats) -> Running:
    """Summarise by running sums."""
    sums, squares = np.cumsum(values, axis=1), np.cumsum(values**2, axis=1)

    def upto(count: int) -> Summary:
        mean = sums[:, count - 1] / count
        return Summary(np.asarray(float(count)), mean, (squares[:, count - 1] / count - mean**2) / (count - 1))

    return upto


def whole(
    random: np.random.Generator, error_rate: float, trials: int = WHOLE_TRIALS, method: Method = "sequential"
) -> dict[str, float]:
    """Run whole experiments: errors as the primary metric, the median time as a guardrail.

    Args:
        random: Random numbers.
        error_rate: Of the treatment; the control's is 0.2, and the minimum effect a half of it.
        trials: How many.
        method: Of the plan.

    Returns:
        The share of the experiments that ended with each answer, ``cried`` for a difference that was shown, and
        ``mismatch`` for a sample ratio that was taken for wrong.
    """
    errors = Metric("errors", "binary", "error", baseline=0.2, minimum_effect=0.5)
    slow = Metric("slow", "quantile", "seconds", "guardrail", deviation=0.4, minimum_effect=0.25, quantile=0.5)
    plan = plan_of(errors, slow, method=method)
    needs = duration(plan, {}, 1e4)
    counted = dict.fromkeys(("ship", "roll back", "wait", "cried", "mismatch"), 0)
    for _ in range(trials):
        for name in _run(plan, needs, list(_rows(random, needs.subjects, error_rate))):
            counted[name] += 1
    return {name: count / trials for name, count in counted.items()}


def _run(plan: Plan, needs: Duration, rows: list[Row]) -> set[str]:
    least_p: Mapping[tuple[str, str], float] = {}
    told = set()
    answer = "wait"
    for part in range(1, WHOLE_LOOKS + 1):
        upto = len(rows) * part // WHOLE_LOOKS
        seen = observe(rows[:upto], (), [arm.name for arm in plan.arms], 0.0, 1e9)
        found = look(plan, needs, seen, {}, least_p, float(upto))
        least_p = found.least_p
        if any(each.state in ("better", "worse", "broken") for each in found.found):
            told.add("cried")
        if found.health.mismatch:
            told.add("mismatch")
        answer = found.verdict.answer
        if answer != "wait":
            break
    return told | {answer}


def _rows(random: np.random.Generator, subjects: int, error_rate: float) -> Iterator[Row]:
    treated, draws = random.random(subjects) < 0.5, random.random(subjects)
    seconds = random.lognormal(-3, 0.4, subjects)
    for number in range(subjects):
        failed = draws[number] < (error_rate if treated[number] else 0.2)
        arm = "challenger" if treated[number] else "champion"
        yield Row(float(number), f"{number}", arm, "failed" if failed else "ok", float(seconds[number]))


def _cried(one: Running, two: Running, subjects: int, mixture: float) -> float:
    found = np.zeros(0, bool)
    for count in looks(subjects):
        control, treatment = one(count), two(count)
        p = always_valid_p(treatment.estimate - control.estimate, treatment.variance + control.variance, mixture)
        found = (p <= ALPHA) | (found if found.size else False)
    return float(found.mean())


def main() -> None:
    """Print what was simulated; the exit code is 1 where a promise is not kept."""
    print(f"{TRIALS} trials of each, alpha {ALPHA:.0%}, planned power {POWER:.0%}, at most {LOOKS} looks\n")
    print("| metric | cries wolf (A/A) | finds the minimum effect | seconds |\n|---|---|---|---|")
    kept = True
    for name, (simulate, metric, base) in CASES.items():
        began = time.perf_counter()
        false = simulate(metric, base, np.random.default_rng(11), 0.0, TRIALS)
        power = simulate(metric, base, np.random.default_rng(12), metric.sign * metric.minimum_effect, TRIALS)
        kept &= false <= ALPHA and abs(power - POWER) <= 0.03
        print(f"| {name} | {false:.1%} | {power:.1%} | {time.perf_counter() - began:.1f} |")
    once = float(stats.norm.ppf(1 - ALPHA / 2) + stats.norm.ppf(POWER))
    drift = needed_drift(ALPHA, POWER, LOOKS)
    false = peeked(np.random.default_rng(13))
    print(f"\nAn interval for one look, looked at {LOOKS} times: {false:.1%} cry wolf.")
    print(f"The minimum effect in standard errors: {drift:.2f}; for one look {once:.2f}.")
    print(f"That is {(drift / once) ** 2:.2f} times the subjects.")
    print(f"\n{WHOLE_TRIALS} whole experiments with a guardrail, {WHOLE_LOOKS} looks\n")
    print("| method | truth | cried | ship | roll back | wait | wrong sample ratio |\n|---|---|---|---|---|---|---|")
    for method in METHODS:
        for truth, rate in (("no difference", 0.2), ("half of the errors", 0.1)):
            shares = whole(np.random.default_rng(13), rate, WHOLE_TRIALS, method)
            told = " | ".join(f"{shares[name]:.1%}" for name in ("cried", "ship", "roll back", "wait", "mismatch"))
            # The guardrail must be held too, each with the planned power.
            kept &= shares["cried"] <= ALPHA if rate == 0.2 else shares["ship"] >= POWER - 0.2
            print(f"| {method} | {truth} | {told} |")
    sys.exit(not kept)


if __name__ == "__main__":
    main()
