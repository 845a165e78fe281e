"""The guard of a release: what both variants did in the same window in, pass, fail or inconclusive out. Pure.

It is asked again and again while figures come in, so a fault is only called one beyond the reach of chance, by tests
that are exact where counts are compared. What merely looks worse is inconclusive: the release holds, figures come in,
and it becomes a pass or a fail. No traffic is inconclusive, never a pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, norm

PASS: Final = "pass"
FAIL: Final = "fail"
INCONCLUSIVE: Final = "inconclusive"
LEAST_MEANS: Final = 50
"""Below so many of each the means of skewed counts are not compared."""
Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Moments:
    """What a mean and its error are made of.

    Attributes:
        count: How many values.
        total: Their sum.
        squares: The sum of their squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """The mean; 0 of no values."""
        return self.total / self.count if self.count else 0.0

    @property
    def error2(self) -> float:
        """The square of the mean's standard error; 0 of fewer than two values."""
        if self.count < 2:
            return 0.0
        return max(0.0, self.squares - self.total * self.mean) / (self.count - 1) / self.count


def _no_seconds() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Window:
    """What one variant did in a window of time.

    Attributes:
        requests: Requests that it answered by itself, or failed at: none from the cache, refused or rejected.
        failed: Those of them that failed by no fault of the client's.
        seconds: How long answers took that it computed itself, one of each subject's; all or a fair sample.
        judged: Face-frames of masked output that were judged.
        open_found: Those of them that were found open.
        faces: Faces found in a picture, over the pictures.
        utility: How much of what came in is left to use, in [0, 1], over the answers that tell; all or a fair sample.
        load_refused: How often a replica could not load it.
    """

    requests: int = 0
    failed: int = 0
    seconds: NDArray[np.float64] = field(default_factory=_no_seconds)
    judged: int = 0
    open_found: int = 0
    faces: Moments = Moments()
    utility: Moments = Moments()
    load_refused: int = 0


@dataclass(frozen=True, slots=True)
class Guards:
    """How much worse than the baseline is too much.

    Attributes:
        most_error_increase: Share of failed requests beyond the baseline's that is borne.
        most_latency_ratio: Times the baseline's latency that is borne; infinite for no look at latency.
        latency_quantile: At which quantile, in (0, 1).
        most_open_increase: Share of open face-frames beyond the baseline's that is borne.
        most_detection_drop: Share of the baseline's faces a picture that may be missing.
        most_utility_drop: Share of the baseline's utility that may be missing; 1 for no look at utility.
        minimum: Answered requests of each variant without which nothing passes.
        minimum_judged: Judged face-frames of each without which nothing passes.
        significance: Chance below which a difference is called a fault, at each look.
        open_significance: The same for open face-frames.
    """

    most_error_increase: float
    most_latency_ratio: float
    latency_quantile: float
    most_open_increase: float
    most_detection_drop: float
    most_utility_drop: float
    minimum: int
    minimum_judged: int
    significance: float
    open_significance: float


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What the guard says, and every reason that it is no pass."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Worse:
    """A figure that is worse than is borne; certain if that is no chance."""

    told: str
    certain: bool


def judge(baseline: Window, candidate: Window, guards: Guards) -> GuardVerdict:
    """Compare what both did in the same window."""
    worse = [each for each in _all_worse(baseline, candidate, guards) if each]
    if faults := tuple(each.told for each in worse if each.certain):
        return GuardVerdict(FAIL, faults)
    doubts = (*_too_few(baseline, candidate, guards), *(f"{each.told}, which may be chance" for each in worse))
    return GuardVerdict(INCONCLUSIVE, doubts) if doubts else GuardVerdict(PASS)


def _all_worse(baseline: Window, candidate: Window, guards: Guards) -> Iterator[_Worse | None]:
    if candidate.load_refused:
        yield _Worse("serving could not load the candidate", certain=True)
    yield _errors(baseline, candidate, guards)
    yield _latency(baseline, candidate, guards)
    yield _open(baseline, candidate, guards)
    yield _mean("faces a picture", baseline.faces, candidate.faces, guards.most_detection_drop, guards)
    yield _mean("utility", baseline.utility, candidate.utility, guards.most_utility_drop, guards)


def _too_few(baseline: Window, candidate: Window, guards: Guards) -> Iterator[str]:
    least = max(1, guards.minimum)
    for name, window in (("candidate", candidate), ("baseline", baseline)):
        if window.requests < least:
            yield f"the {name} has had {window.requests} of at least {least} requests answered"
        if window.judged < guards.minimum_judged:
            yield f"of the {name} {window.judged} of at least {guards.minimum_judged} face-frames were judged"
        if np.isfinite(guards.most_latency_ratio) and not window.seconds.size:
            yield f"there is no answer of the {name} whose time was measured"


def _errors(baseline: Window, candidate: Window, guards: Guards) -> _Worse | None:
    """Compare shares of failed requests by Fisher's exact test, one-sided."""
    counts = (candidate.failed, candidate.requests, baseline.failed, baseline.requests)
    told = "{:.2%} of the candidate's requests failed and {:.2%} of the baseline's"
    return _share(told, counts, guards.most_error_increase, guards.significance)


def _open(baseline: Window, candidate: Window, guards: Guards) -> _Worse | None:
    """Compare shares of open face-frames by Fisher's exact test, one-sided."""
    counts = (candidate.open_found, candidate.judged, baseline.open_found, baseline.judged)
    told = "{:.2%} of the candidate's judged face-frames are open and {:.2%} of the baseline's"
    return _share(told, counts, guards.most_open_increase, guards.open_significance)


def _share(told: str, counts: tuple[int, int, int, int], most: float, significance: float) -> _Worse | None:
    hits, of, base_hits, base_of = counts
    if not of or not base_of:
        return None
    share, base = hits / of, base_hits / base_of
    if share - base <= most:
        return None
    return _Worse(told.format(share, base), _exact(hits, of, base_hits, base_of) <= significance)


def _latency(baseline: Window, candidate: Window, guards: Guards) -> _Worse | None:
    """Compare a quantile of latency: more of the candidate's beyond it than of the baseline's, stretched as is borne.

    The quantile is that of both together (control median test, Mathisen 1943, at any quantile), so the counts beyond it
    are hypergeometric, whatever latency's distribution is: what is drawn are subjects, and each is there once.
    """
    if not baseline.seconds.size or not candidate.seconds.size or not np.isfinite(guards.most_latency_ratio):
        return None
    base, own = (float(np.quantile(each.seconds, guards.latency_quantile)) for each in (baseline, candidate))
    if own <= guards.most_latency_ratio * base:
        return None
    stretched = baseline.seconds * guards.most_latency_ratio
    both = np.concatenate((stretched, candidate.seconds))
    bound = np.quantile(both, guards.latency_quantile)
    if bound == both.max():
        # So many are alike that none is beyond: those that are just as much count.
        bound = np.nextafter(bound, -inf)
    beyond = [int(np.count_nonzero(each > bound)) for each in (candidate.seconds, stretched)]
    chance = _exact(beyond[0], candidate.seconds.size, beyond[1], stretched.size)
    told = f"the candidate's latency at {guards.latency_quantile:.0%} is {own:.3g} s and the baseline's {base:.3g} s"
    return _Worse(told, chance <= guards.significance)


def _mean(told: str, baseline: Moments, candidate: Moments, drop: float, guards: Guards) -> _Worse | None:
    """Compare means by Welch's statistic against the normal distribution, one-sided, of many values only."""
    if min(baseline.count, candidate.count) < LEAST_MEANS:
        return None
    least = (1 - drop) * baseline.mean
    if candidate.mean >= least:
        return None
    # Few skewed values that are low by chance vary little, too: the candidate's are taken to vary as the baseline's do.
    own = max(candidate.error2, (1 - drop) ** 2 * baseline.error2 * baseline.count / candidate.count)
    error = sqrt((1 - drop) ** 2 * baseline.error2 + own)
    certain = error == 0 or float(norm.sf((least - candidate.mean) / error)) <= guards.significance
    return _Worse(f"the candidate's {told} is {candidate.mean:.3g} and the baseline's {baseline.mean:.3g}", certain)


def _exact(hits: int, of: int, base_hits: int, base_of: int) -> float:
    """Return the chance of as many hits or more among the first, given those of both together."""
    return float(hypergeom.sf(hits - 1, of + base_of, hits + base_hits, of))
