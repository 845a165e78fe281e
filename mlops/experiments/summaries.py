"""What is kept of an arm: an estimate, and how far off it may be; one row of subjects, or many rows at once.

Every function reduces the last axis of its arrays, so that thousands of simulated arms cost one call.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Summary:
    """An estimate of one arm.

    Attributes:
        subjects: How many subjects it rests on.
        estimate: The share, mean, ratio or quantile.
        variance: Of the estimate; infinite where there are too few subjects to tell.
    """

    subjects: Floats
    estimate: Floats
    variance: Floats

    @property
    def deviation(self) -> Floats:
        """Standard deviation of what one subject adds: the square root of variance times subjects."""
        return np.sqrt(self.variance * self.subjects)


def share(successes: ArrayLike, subjects: ArrayLike) -> Summary:
    """Summarise yes and no.

    The variance is that of the share with one success and one failure added (Agresti, Caffo 2000): an arm without a
    single failure is not taken for one that cannot fail.
    """
    hits, count = np.asarray(successes, np.float64), np.asarray(subjects, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth = (hits + 1) / (count + 2)
        variance = np.where(count > 0, smooth * (1 - smooth) / count, np.inf)
        return Summary(count, hits / count, variance)


def mean(values: ArrayLike) -> Summary:
    """Summarise one value for each subject."""
    given = np.asarray(values, np.float64)
    count = given.shape[-1]
    if count < 2:
        return _unknown(given)
    return _summary(count, given.mean(-1), given.var(-1, ddof=1) / count)


def ratio(numerators: ArrayLike, denominators: ArrayLike) -> Summary:
    """Summarise a sum over a sum, such as faces over requests, where each subject adds to both.

    The variance is that of the delta method (Deng, Knoblich, Lu, "Applying the delta method in metric analytics",
    2018).
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    count = above.shape[-1]
    if count < 2:
        return _unknown(above)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = above.sum(-1) / below.sum(-1)
        variance = linearised(above, below).var(-1, ddof=1) / count
    variance = np.where(np.isfinite(estimate), variance, np.inf)
    return _summary(count, np.where(np.isfinite(estimate), estimate, np.nan), variance)


def linearised(numerators: ArrayLike, denominators: ArrayLike) -> Floats:
    """Return what each subject adds to the ratio: its mean is 0, and its variance that of the ratio times subjects."""
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = above.sum(-1, keepdims=True) / below.sum(-1, keepdims=True)
        return np.asarray((above - estimate * below) / below.mean(-1, keepdims=True), np.float64)


def _summary(count: int, estimate: ArrayLike, variance: ArrayLike) -> Summary:
    return Summary(np.asarray(float(count)), np.asarray(estimate, np.float64), np.asarray(variance, np.float64))


def _unknown(values: Floats) -> Summary:
    shape = values.shape[:-1]
    return Summary(np.asarray(float(values.shape[-1])), np.full(shape, np.nan), np.full(shape, np.inf))
