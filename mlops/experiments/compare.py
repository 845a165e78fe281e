"""Comparisons of two arms at a size that was fixed beforehand: looked at once.

Every one gives an effect with its interval, a p-value, a standardised size, and a relative lift with its interval.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mlops.experiments import summaries

Floats = NDArray[np.float64]
EXPECTED: Final = 5.0
"""Fewest subjects that chi-square expects in every cell (Cochran 1954); below, an exact test is taken."""
EXACT_SUBJECTS: Final = 400
"""Boschloo's test is more powerful than Fisher's, and too slow for larger tables."""
RESAMPLES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and what is believed of it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against its control.

    Attributes:
        effect: Treatment less control.
        lift: Treatment over control, less 1; infinite or no number where the control is 0.
        size: Standardised: Cohen's d of means, Cohen's h of shares, no number elsewhere.
        p_value: Two-sided.
        test: Which test gave it.
    """

    effect: Interval
    lift: Interval
    size: Interval
    p_value: float
    test: str


NOTHING: Final = Interval(np.nan, np.nan, np.nan)


def means(control: ArrayLike, treatment: ArrayLike, alpha: float) -> Comparison:
    """Compare means by Welch's t test, which does not ask for equal variances; at least 2 subjects each."""
    one, two = np.asarray(control, np.float64), np.asarray(treatment, np.float64)
    arms = summaries.mean(one), summaries.mean(two)
    difference = float(two.mean() - one.mean())
    parts = [float(arm.variance) for arm in arms]
    variance = sum(parts)
    if variance == 0:
        # Nothing varies: what differs then differs for certain.
        p_value, away = float(difference == 0), 0.0
    else:
        terms = ((part / variance) ** 2 / (len(arm) - 1) for part, arm in zip(parts, (one, two), strict=True))
        degrees = 1 / sum(terms)
        p_value = float(2 * stats.t.sf(abs(difference) / sqrt(variance), degrees))
        away = float(stats.t.ppf(1 - alpha / 2, degrees)) * sqrt(variance)
    effect = Interval(difference, difference - away, difference + away)
    return Comparison(effect, lift(*arms, alpha), cohen_d(one, two, alpha), p_value, "Welch's t test")


def shares(hits: tuple[int, int], subjects: tuple[int, int], alpha: float) -> Comparison:
    """Compare shares, control first, by chi-square, or exactly (Boschloo 1970, else Fisher) where a cell is small.

    The interval is Newcombe's of two Wilson intervals (1998), which holds for shares near 0 and 1.
    """
    table = np.array([hits, [count - hit for hit, count in zip(hits, subjects, strict=True)]])
    p_value, test = _shares_test(table)
    (one, one_low, one_high), (two, two_low, two_high) = (
        _wilson(hit, count, alpha) for hit, count in zip(hits, subjects, strict=True)
    )
    difference = two - one
    low = difference - np.hypot(two - two_low, one_high - one)
    high = difference + np.hypot(two_high - two, one - one_low)
    control, treatment = (summaries.share(hit, count) for hit, count in zip(hits, subjects, strict=True))
    effect = Interval(difference, float(low), float(high))
    return Comparison(effect, lift(control, treatment, alpha), cohen_h(control, treatment, alpha), p_value, test)


def ratios(control: tuple[ArrayLike, ArrayLike], treatment: tuple[ArrayLike, ArrayLike], alpha: float) -> Comparison:
    """Compare sums over sums by the delta method; each arm is numerators and denominators of its subjects."""
    one, two = summaries.ratio(*control), summaries.ratio(*treatment)
    difference, error = float(two.estimate - one.estimate), float(np.sqrt(one.variance + two.variance))
    away = float(stats.norm.ppf(1 - alpha / 2)) * error
    p_value = float(2 * stats.norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    effect = Interval(difference, difference - away, difference + away)
    return Comparison(effect, lift(one, two, alpha), NOTHING, p_value, "z test by the delta method")


def quantiles(control: ArrayLike, treatment: ArrayLike, quantile: float, alpha: float, seed: int = 0) -> Comparison:
    """Compare quantiles by the bootstrap.

    A resample's order statistic is a sorted value at a rank that follows a beta distribution, so that the resamples
    themselves need not be drawn.
    """
    random = np.random.default_rng(seed)
    one, two = (np.sort(np.asarray(values, np.float64)) for values in (control, treatment))
    ones, twos = _resampled(one, quantile, random), _resampled(two, quantile, random)
    at = float(np.quantile(one, quantile)), float(np.quantile(two, quantile))
    effect = Interval(at[1] - at[0], *(float(edge) for edge in np.quantile(twos - ones, (alpha / 2, 1 - alpha / 2))))
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.quantile(twos / ones - 1, (alpha / 2, 1 - alpha / 2))
        rise = Interval(float(np.divide(at[1], at[0]) - 1), float(factors[0]), float(factors[1]))
    below = float(np.mean(twos <= ones) + np.mean(twos < ones)) / 2
    p_value = float(min(1.0, 2 * max(min(below, 1 - below), 1 / RESAMPLES)))
    return Comparison(effect, rise, NOTHING, p_value, "bootstrap of quantiles")


def cohen_d(control: ArrayLike, treatment: ArrayLike, alpha: float) -> Interval:
    """Return the difference of means in pooled standard deviations (Cohen 1988; interval of Hedges, Olkin 1985)."""
    one, two = np.asarray(control, np.float64), np.asarray(treatment, np.float64)
    degrees = len(one) + len(two) - 2
    pooled = np.sqrt(((len(one) - 1) * one.var(ddof=1) + (len(two) - 1) * two.var(ddof=1)) / degrees)
    if not pooled > 0:
        return NOTHING
    size = float((two.mean() - one.mean()) / pooled)
    error = np.sqrt(1 / len(one) + 1 / len(two) + size * size / (2 * (degrees + 2)))
    return _around(size, float(error), alpha)


def cohen_h(control: summaries.Summary, treatment: summaries.Summary, alpha: float) -> Interval:
    """Return the difference of two shares on the scale where their variance is the same everywhere (Cohen 1988)."""
    angles = [2 * np.arcsin(np.sqrt(arm.estimate)) for arm in (control, treatment)]
    error = np.sqrt(1 / control.subjects + 1 / treatment.subjects)
    return _around(float(angles[1] - angles[0]), float(error), alpha)


def lift(control: summaries.Summary, treatment: summaries.Summary, alpha: float) -> Interval:
    """Return treatment over control, less 1, by the delta method on logarithms; both must be above 0."""
    if not (control.estimate > 0 and treatment.estimate > 0):
        return NOTHING
    factor = np.log(treatment.estimate / control.estimate)
    error = np.sqrt(control.variance / control.estimate**2 + treatment.variance / treatment.estimate**2)
    found = _around(float(factor), float(error), alpha)
    return Interval(*(float(np.expm1(value)) for value in (found.value, found.low, found.high)))


def _shares_test(table: NDArray[np.int_]) -> tuple[float, str]:
    if not table.sum(axis=1).all() or not table.sum(axis=0).all():
        return 1.0, "none: all subjects agree"
    if stats.contingency.expected_freq(table).min() >= EXPECTED:
        return float(stats.chi2_contingency(table, correction=False).pvalue), "chi-square test"
    if table.sum() <= EXACT_SUBJECTS:
        return float(stats.boschloo_exact(table).pvalue), "Boschloo's exact test"
    return float(stats.fisher_exact(table).pvalue), "Fisher's exact test"


def _wilson(hits: int, subjects: int, alpha: float) -> tuple[float, float, float]:
    found = stats.binomtest(hits, subjects).proportion_ci(1 - alpha, "wilson")
    return hits / subjects, float(found.low), float(found.high)


def _resampled(ordered: Floats, quantile: float, random: np.random.Generator) -> Floats:
    count = len(ordered)
    rank = min(count, max(1, int(np.ceil(quantile * count))))
    places = np.ceil(count * random.beta(rank, count - rank + 1, RESAMPLES)).astype(int) - 1
    return np.asarray(ordered[np.clip(places, 0, count - 1)], np.float64)


def _around(value: float, error: float, alpha: float) -> Interval:
    away = float(stats.norm.ppf(1 - alpha / 2)) * error
    return Interval(value, value - away, value + away)
