"""Always-valid inference: intervals and p-values that hold at every look at once, however often somebody looks.

The estimate of an effect is asymptotically normal with a variance V that falls as subjects come in. Mixing the
likelihood ratio against "no effect" over effects drawn from N(0, m) gives a martingale; by Ville's inequality it
exceeds 1/alpha at any time with probability alpha at most. Sources: Robbins 1970; Johari, Pekelis, Walsh, "Always
valid inference", 2017 (mixture SPRT); Waudby-Smith et al., "Time-uniform central limit theory and asymptotic confidence
sequences", 2021, which shows that the variance may be estimated and the values need not be normal.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

Floats = NDArray[np.float64]
GRID: Final = 401
DRIFTS: Final = (0.5, 12.0)
"""Between these lies the drift that any alpha from 1e-7 to 0.3 and any power from 0.3 to 0.99 need."""


def half_width(variance: ArrayLike, mixture: float, alpha: float) -> Floats:
    """Return half the width of the interval around an estimate that holds at all times with 1 - alpha.

    Args:
        variance: Variance of the estimate now, > 0; any shape.
        mixture: Variance of the effects that are mixed over, chosen before the first look.
        alpha: Share of experiments whose interval may ever miss the truth.
    """
    now = np.asarray(variance, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        squared = now * (1 + now / mixture) * (np.log1p(mixture / now) + 2 * np.log(1 / alpha))
    # Nothing is known yet where the variance is infinite.
    return np.asarray(np.where(np.isfinite(squared), np.sqrt(np.maximum(squared, 0)), np.inf), np.float64)


def always_valid_p(effect: ArrayLike, variance: ArrayLike, mixture: float) -> Floats:
    """Return the p-value of "no effect" at this look; the smallest of all looks so far is valid too.

    It is at most alpha exactly where the interval of `half_width` leaves 0 out.
    """
    estimate, now = np.asarray(effect, np.float64), np.asarray(variance, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        log_ratio = estimate**2 * mixture / (2 * now * (now + mixture)) - 0.5 * np.log1p(mixture / now)
    return np.where(np.isfinite(log_ratio), np.exp(-np.clip(log_ratio, 0, 700)), 1.0)


@lru_cache
def mixture_over_variance(alpha: float) -> float:
    """Return the m/V at which the interval is the narrowest that a mixture can give where the variance is V."""
    found = optimize.minimize_scalar(
        lambda log_ratio: (1 + np.exp(-log_ratio)) * (np.log1p(np.exp(log_ratio)) + 2 * np.log(1 / alpha)),
        bounds=(-3, 8),
        method="bounded",
    )
    return float(np.exp(found.x))


def mixture_for(effect: float, alpha: float, power: float, looks: int) -> float:
    """Return the mixture that is narrowest when an experiment planned to find this effect reaches its planned size."""
    return mixture_over_variance(alpha) * (effect / needed_drift(alpha, power, looks)) ** 2


@lru_cache
def needed_drift(alpha: float, power: float, looks: int) -> float:
    """Return the effect, in standard errors at the planned size, that is found by then with the power asked for."""
    return float(optimize.brentq(lambda drift: crossing(drift, alpha, looks) - power, *DRIFTS, xtol=1e-4))


def crossing(drift: float, alpha: float, looks: int) -> float:
    """Return the probability that an interval has left 0 out by the last of so many looks, evenly spread.

    Args:
        drift: True effect in standard errors of the last look.
        alpha: As for `half_width`.
        looks: How many looks, >= 1, at 1/looks, 2/looks, … of the planned size.
    """
    score, mass = _not_crossed(alpha, looks)
    # The density under a drift is the one without times the likelihood ratio, which the last score alone decides.
    return float(1 - mass @ np.exp(drift * score - drift**2 / 2))


@lru_cache
def _not_crossed(alpha: float, looks: int) -> tuple[Floats, Floats]:
    """Return scores at the last look and the mass at each that never crossed, without drift.

    The score, estimate over variance, scaled to variance 1 at the last look, is a Brownian motion: a recursion over its
    density between the bounds (Armitage, McPherson, Rowe 1969), integrated by the trapezoidal rule.
    """
    shares = np.arange(1, looks + 1) / looks
    bounds = half_width(1 / shares, mixture_over_variance(alpha), alpha) * shares
    score, mass = np.zeros(1), np.ones(1)
    for bound in bounds:
        now = np.linspace(-bound, bound, GRID)
        weights = np.full(GRID, now[1] - now[0])
        weights[[0, -1]] /= 2
        kernel = np.exp(-((now[:, None] - score) ** 2) * (looks / 2)) * np.sqrt(looks / (2 * np.pi))
        score, mass = now, weights * (kernel @ mass)
    return score, mass
