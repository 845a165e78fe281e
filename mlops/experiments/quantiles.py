"""Quantiles of times: which of two arms is slower at, say, the slowest twentieth, and by what factor.

Times are positive and differ by factors, so that effects are differences of logarithms. Two arms have the same quantile
where the same share of each lies under one bound. That share is a yes or no for every subject, so that its variance is
known without the density at the quantile, which is hard to estimate; an effect is believed as long as dividing the
treatment's times by its factor leaves shares that an always-valid interval allows (the test's inversion).
For intervals that hold without any approximation, and are wider: Howard, Ramdas, "Sequential estimation of quantiles
with applications to A/B testing and best-arm identification", 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from mlops.experiments.sequential import half_width

Floats = NDArray[np.float64]
FARTHEST: Final = 8.0
"""Bound of what is looked for, as a logarithm: a factor of almost 3,000."""
HALVINGS: Final = 40
APART: Final = 50.0
"""Standard deviations from which two arms have nothing in common, so that more of them change no share."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much more of the control than of the treatment lies under the quantile of both together.

    Attributes:
        difference: Share of the control under it, less that of the treatment: positive where the treatment is slower.
        variance: Of the difference where both have that quantile.
    """

    difference: Floats
    variance: Floats


def shares_under(control: ArrayLike, treatment: ArrayLike, quantile: float) -> Shares:
    """Compare two arms at the quantile of both together; arrays of shape (…, subjects)."""
    one, two = np.asarray(control, np.float64), np.asarray(treatment, np.float64)
    both = np.concatenate((one, two), axis=-1)
    place = max(0, int(np.ceil(quantile * both.shape[-1])) - 1)
    bound = np.partition(both, place, axis=-1)[..., place, None]
    return _compared((one <= bound).sum(-1), one.shape[-1], (two <= bound).sum(-1), two.shape[-1])


def planned_difference(quantile: float, spread: float, effect: float) -> float:
    """Return the difference of shares that a difference in logarithms comes through as.

    Only the plan rests on it, no interval: it takes logarithms to be normal.

    Args:
        quantile: In (0, 1).
        spread: Standard deviation of the logarithms.
        effect: Logarithm of the treatment's times over the control's.
    """
    shift = float(np.clip(effect / spread, -APART, APART))
    around = float(stats.norm.ppf(quantile))
    bound = optimize.brentq(
        lambda at: stats.norm.cdf(at) + stats.norm.cdf(at - shift) - 2 * quantile,
        around - abs(shift) - 1,
        around + abs(shift) + 1,
    )
    return float(stats.norm.cdf(bound) - stats.norm.cdf(bound - shift))


def log_ratio_interval(
    control: ArrayLike, treatment: ArrayLike, quantile: float, mixture: float, alpha: float
) -> tuple[float, float]:
    """Return the logarithms of factors that are believed, at all times with 1 - alpha.

    Args:
        control: Times, shape (subjects,), > 0.
        treatment: Times, shape (subjects,), > 0.
        quantile: In (0, 1).
        mixture: As in `mlops.experiments.sequential`, of differences of shares.
        alpha: As there.
    """
    one, two = np.log(np.sort(control)), np.log(np.sort(treatment))

    def sides(shift: float) -> int:
        found = _shifted(one, two - shift, quantile)
        if abs(found.difference) <= half_width(found.variance, mixture, alpha):
            return 0
        return 1 if found.difference > 0 else -1

    centre = float(np.quantile(two, quantile) - np.quantile(one, quantile))
    low = _edge(centre, -FARTHEST, lambda shift: sides(shift) > 0)
    high = _edge(centre, FARTHEST, lambda shift: sides(shift) < 0)
    return low, high


def _edge(inside: float, outside: float, left_out: Callable[[float], bool]) -> float:
    if not left_out(outside):
        return float(np.copysign(np.inf, outside))
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if left_out(middle) else (middle, outside)
    return outside


def _shifted(one: Floats, two: Floats, quantile: float) -> Shares:
    # Both are sorted, so that the shares are two searches.
    both = np.concatenate((one, two))
    place = max(0, int(np.ceil(quantile * len(both))) - 1)
    bound = np.partition(both, place)[place]
    under = (np.searchsorted(each, bound, side="right") for each in (one, two))
    return _compared(next(under), len(one), next(under), len(two))


def _compared(ones: ArrayLike, one: int, twos: ArrayLike, two: int) -> Shares:
    under, beneath = np.asarray(ones, np.float64), np.asarray(twos, np.float64)
    pooled = (under + beneath + 1) / (one + two + 2)
    return Shares(under / one - beneath / two, pooled * (1 - pooled) * (1 / one + 1 / two))
