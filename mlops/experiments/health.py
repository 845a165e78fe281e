"""Whether an experiment can be believed at all, asked before what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from mlops.experiments.plan import Plan

STOPS: Final = 0.001
"""P-value of the sample ratio below which an experiment is stopped."""
CROSSED: Final = 0.01
"""Share of the subjects seen in two arms from which a warning is given."""
CONCENTRATION: Final = 1000.0
"""How near to the planned shares the test looks for others: a standard deviation of about 1.6 points at one half."""


@dataclass(frozen=True, slots=True)
class Health:
    """What was found.

    Attributes:
        subjects: By arm.
        ratio_p: Chi-square p-value of the sample ratio at this look alone.
        ratio_p_always: P-value of the sample ratio that holds however often it is looked at; this one stops.
        crossed: Subjects that were seen in more than one arm; each counts for its first.
        mismatch: Whether the sample ratio is wrong, so that the experiment has to stop.
        enough: Whether every arm has its least number of subjects.
        warnings: Sentences.
    """

    subjects: Mapping[str, int]
    ratio_p: float
    ratio_p_always: float
    crossed: int
    mismatch: bool
    enough: bool
    warnings: tuple[str, ...]


def check(plan: Plan, subjects: Sequence[int], crossed: int) -> Health:
    """Look at how many subjects came to each arm, in the order of the plan's arms."""
    shares = [arm.weight for arm in plan.arms]
    now, always = float(ratio_p(subjects, shares)), float(ratio_p_always(subjects, shares))
    warnings = []
    if crossed > CROSSED * max(1, sum(subjects)):
        warnings.append(f"{crossed} of {sum(subjects)} subjects were seen in two arms; each counts for its first")
    if always < STOPS:
        told = ", ".join(f"{arm.name} {count}" for arm, count in zip(plan.arms, subjects, strict=True))
        warnings.append(f"the arms have other shares of the subjects than planned ({told}; p = {always:.2g})")
    return Health(
        {arm.name: int(count) for arm, count in zip(plan.arms, subjects, strict=True)},
        now, always, crossed, always < STOPS, min(subjects) >= plan.least_subjects, tuple(warnings),
    )  # fmt: skip


def ratio_p(subjects: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Return the chi-square p-value that subjects came by these shares, for one look; last axis: arms."""
    counts, expected = _expected(subjects, shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.nan_to_num(((counts - expected) ** 2 / expected).sum(-1))
    return np.asarray(stats.chi2.sf(distance, counts.shape[-1] - 1), np.float64)


def ratio_p_always(subjects: ArrayLike, shares: ArrayLike) -> NDArray[np.float64]:
    """Return a p-value for the same that holds at all looks.

    It is one over the likelihood ratio of shares drawn from a Dirichlet around the planned ones (Lindon, Malek,
    "Anytime-valid inference for multinomial count data", 2022).
    """
    counts, _ = _expected(subjects, shares)
    planned = np.asarray(shares, np.float64)
    prior = CONCENTRATION * planned
    total = counts.sum(-1)
    log_ratio = (
        special.gammaln(CONCENTRATION)
        - special.gammaln(CONCENTRATION + total)
        + (special.gammaln(prior + counts) - special.gammaln(prior) - counts * np.log(planned)).sum(-1)
    )
    return np.asarray(np.exp(-np.clip(log_ratio, 0, 700)), np.float64)


def _expected(subjects: ArrayLike, shares: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = np.asarray(subjects, np.float64)
    return counts, counts.sum(-1, keepdims=True) * np.asarray(shares, np.float64)
