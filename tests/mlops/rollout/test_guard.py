"""The guard, by tables and by simulation: noise rolls nothing back, a fault is found, what is in doubt never passes."""

from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops.rollout.guard import GuardVerdict, Moments, Window, judge
from tests.mlops.guards import GUARDS

LOOKS = (10, 50, 100, 200, 400, 700, 1000, 1500, 2000)
"""Requests of the candidate at each look of a simulated step."""


@dataclass(frozen=True)
class Kind:
    """What a version is like."""

    failed: float = 0.01
    seconds: float = 0.1
    spread: float = 0.5
    faces: float = 1.2
    open: float = 0.0
    judged: float = 0.2
    area: float = 0.06


@dataclass(frozen=True)
class Stream:
    """Requests in the order they came."""

    failed: NDArray[np.bool_]
    seconds: NDArray[np.float64]
    faces: NDArray[np.int64]
    judged: NDArray[np.int64]
    open: NDArray[np.int64]
    useful: NDArray[np.float64]

    def window(self, requests: int) -> Window:
        failed, faces = self.failed[:requests], self.faces[:requests].astype(float)
        return Window(
            requests=requests,
            failed=int(failed.sum()),
            seconds=self.seconds[:requests][~failed],
            judged=int(self.judged[:requests].sum()),
            open_found=int(self.open[:requests].sum()),
            faces=Moments(requests, float(faces.sum()), float((faces**2).sum())),
            utility=moments(self.useful[:requests]),
        )


def moments(values: NDArray[np.float64]) -> Moments:
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def stream(random: np.random.Generator, kind: Kind, requests: int) -> Stream:
    faces = random.negative_binomial(0.7, 0.7 / (0.7 + kind.faces), requests)
    judged = np.where(random.random(requests) < kind.judged, faces, 0)
    return Stream(
        random.random(requests) < kind.failed,
        kind.seconds * random.lognormal(0, kind.spread, requests),
        faces,
        judged,
        random.binomial(judged, kind.open),
        # Pictures differ much in how large their faces are.
        1 - np.clip(faces * random.gamma(0.7, kind.area / 0.7, requests), 0, 1),
    )


def step(random: np.random.Generator, kinds: tuple[Kind, Kind], ratio: int) -> tuple[int | None, GuardVerdict]:
    """Look at a step again and again; gives at how many requests it was rolled back, and the last verdict."""
    baseline, candidate = stream(random, kinds[0], LOOKS[-1] * ratio), stream(random, kinds[1], LOOKS[-1])
    verdict = GuardVerdict("inconclusive")
    for requests in LOOKS:
        verdict = judge(baseline.window(requests * ratio), candidate.window(requests), GUARDS)
        if verdict.outcome == "fail":
            return requests, verdict
    return None, verdict


def test_no_difference_is_rolled_back_in_less_than_one_step_of_a_hundred() -> None:
    random, wrong, steps, held = np.random.default_rng(3), 0, 0, 0
    for kind in (Kind(), Kind(failed=0, spread=1.0), Kind(failed=0.1, open=0.003), Kind(spread=1.0, open=0.02)):
        for ratio in (1, 9):
            for _ in range(60):
                at, verdict = step(random, (kind, kind), ratio)
                wrong, steps = wrong + (at is not None), steps + 1
                held += verdict.outcome == "inconclusive" and kind.open == 0
    assert wrong < 0.01 * steps
    # Nearly every step of two alike versions passes in the end.
    assert held < 0.05 * steps


@pytest.mark.parametrize(
    ("worse", "within"),
    [
        (Kind(failed=0.06), 1500),
        (Kind(seconds=0.2), 1000),
        (Kind(open=0.1), 1500),
        (Kind(faces=0.6), 1000),
        (Kind(area=0.6), 400),
    ],
    ids=["5 % more errors", "twice the latency", "open faces", "faces missed", "ten times the area masked"],
)
@pytest.mark.parametrize("ratio", [1, 9])
def test_a_fault_is_rolled_back_and_never_passes(worse: Kind, within: int, ratio: int) -> None:
    random = np.random.default_rng(4)
    for _ in range(15):
        at, _ = step(random, (Kind(), worse), ratio)
        assert at is not None
        assert at <= within


@pytest.mark.parametrize(("base", "ratio", "within"), [(0.0, 9, 250), (0.0, 1, 400), (0.01, 9, 400), (0.01, 1, 800)])
def test_five_points_more_open_faces_are_rolled_back(base: float, ratio: int, within: int) -> None:
    """Looked at whenever ten more face-frames of the candidate were judged, as they come in."""
    random, looks = np.random.default_rng(5), range(10, within + 1, 10)
    for _ in range(20):
        own, other = (random.random(within * times) < share for times, share in ((1, base + 0.05), (ratio, base)))
        verdicts = (judge(window_of(other[: look * ratio]), window_of(own[:look]), GUARDS) for look in looks)
        outcomes = [verdict.outcome for verdict in verdicts]
        assert "fail" in outcomes


def test_as_many_open_faces_roll_back_less_than_one_step_of_a_hundred() -> None:
    random, wrong, steps = np.random.default_rng(6), 0, 0
    for share in (0.0, 0.01, 0.05):
        for ratio in (1, 9):
            for _ in range(100):
                own, other = (random.random(1000 * times) < share for times in (1, ratio))
                looks = range(50, 1001, 50)
                verdicts = (judge(window_of(other[: look * ratio]), window_of(own[:look]), GUARDS) for look in looks)
                wrong, steps = wrong + any(verdict.outcome == "fail" for verdict in verdicts), steps + 1
    assert wrong < 0.01 * steps


def window_of(opened: NDArray[np.bool_]) -> Window:
    """What was judged, and nothing else."""
    return Window(requests=1000, judged=len(opened), open_found=int(opened.sum()))


def test_a_few_open_faces_where_the_baseline_has_none_never_pass() -> None:
    for judged in (50, 500, 5000):
        baseline = of(1000, judged=judged)
        verdict = judge(baseline, replace(baseline, open_found=1), GUARDS)
        assert verdict.outcome == "inconclusive"
        assert "open" in verdict.reasons[0]
    assert judge(baseline, replace(baseline, open_found=12), GUARDS).outcome == "fail"


def of(requests: int, failed: int = 0, seconds: float = 0.1, **others: Any) -> Window:
    return Window(requests, failed, np.full(max(0, requests - failed), seconds), **others)


@pytest.mark.parametrize(
    ("baseline", "candidate", "outcome", "told"),
    [
        (of(0), of(0), "inconclusive", "0 of at least 50"),
        (of(1000), of(0), "inconclusive", "the candidate has had 0 of at least 50"),
        (of(0), of(1000), "inconclusive", "the baseline has had 0 of at least 50"),
        (of(1000), of(49), "inconclusive", "49 of at least 50"),
        (of(1000), of(50), "pass", ""),
        (of(1000), of(1000, 10), "pass", ""),
        (of(1000, 100), of(1000, 100), "pass", ""),
        (of(1000), of(50, 1), "inconclusive", "may be chance"),
        (of(1000), of(1000, 60), "fail", "6.00% of the candidate's requests failed and 0.00% of the baseline's"),
        (of(100), of(30, 30), "fail", "100.00%"),
        (of(1000), of(1000, seconds=0.12), "pass", ""),
        (of(1000), of(1000, seconds=0.2), "fail", "0.2 s"),
        (of(1000), of(1000, load_refused=1), "fail", "could not load"),
        (of(0), of(0, load_refused=1), "fail", "could not load"),
    ],
)
def test_verdicts(baseline: Window, candidate: Window, outcome: str, told: str) -> None:
    verdict = judge(baseline, candidate, GUARDS)
    assert verdict.outcome == outcome
    assert told in "; ".join(verdict.reasons)
    assert bool(verdict.reasons) == (outcome != "pass")


def test_every_fault_is_told_and_no_doubt_beside_it() -> None:
    verdict = judge(of(1000), of(40, 40, load_refused=2), GUARDS)
    assert verdict.outcome == "fail"
    assert len(verdict.reasons) == 2


def test_a_better_candidate_passes() -> None:
    baseline = Window(1000, 100, np.full(900, 0.5), 100, 20, Moments(1000, 1000.0, 2000.0), Moments(100, 50.0, 30.0))
    candidate = Window(1000, 0, np.full(1000, 0.1), 100, 0, Moments(1000, 1500.0, 3000.0), Moments(100, 90.0, 82.0))
    assert judge(baseline, candidate, GUARDS).outcome == "pass"


def test_what_must_be_judged_holds_a_step_that_was_not() -> None:
    guards = replace(GUARDS, minimum_judged=10)
    assert judge(of(1000, judged=10), of(1000, judged=10), guards).outcome == "pass"
    for baseline, candidate in ((10, 9), (9, 10), (0, 0)):
        verdict = judge(of(1000, judged=baseline), of(1000, judged=candidate), guards)
        assert verdict.outcome == "inconclusive"
        assert "judged" in verdict.reasons[0]


def test_latency_can_be_left_out_and_is_compared_of_any_two_samples() -> None:
    slow = of(1000, seconds=9.0)
    assert judge(of(1000), slow, replace(GUARDS, most_latency_ratio=inf)).outcome == "pass"
    assert judge(of(1000), replace(slow, seconds=np.full(20, 9.0)), GUARDS).outcome == "fail"


def test_without_answers_that_were_measured_nothing_passes_where_latency_is_compared() -> None:
    unmeasured = replace(of(1000), seconds=np.empty(0))
    for baseline, candidate, name in ((unmeasured, of(1000), "baseline"), (of(1000), unmeasured, "candidate")):
        verdict = judge(baseline, candidate, GUARDS)
        assert verdict.outcome == "inconclusive"
        assert f"no answer of the {name}" in verdict.reasons[0]
        assert judge(baseline, candidate, replace(GUARDS, most_latency_ratio=inf)).outcome == "pass"


def test_utility_and_detection_are_compared_of_many_only() -> None:
    half, whole = Moments(100, 50.0, 25.0), Moments(100, 100.0, 100.0)
    assert judge(replace(of(99), utility=whole), replace(of(99), utility=half), GUARDS).outcome == "fail"
    off = replace(GUARDS, most_utility_drop=1.0)
    assert judge(replace(of(99), utility=whole), replace(of(99), utility=half), off).outcome == "pass"
    few = Moments(10, 5.0, 2.5)
    assert judge(replace(of(99), faces=whole), replace(of(99), faces=few), GUARDS).outcome == "pass"


def test_without_a_minimum_no_traffic_passes_nothing() -> None:
    assert judge(Window(), Window(), replace(GUARDS, minimum=0)).outcome == "inconclusive"


def test_moments_are_mean_and_error() -> None:
    values = np.random.default_rng(1).normal(3, 2, 500)
    moments = Moments(500, float(values.sum()), float((values**2).sum()))
    assert moments.mean == pytest.approx(values.mean())
    assert moments.error2 == pytest.approx(values.var(ddof=1) / 500)
    assert (Moments().mean, Moments().error2, Moments(1, 5.0, 25.0).error2) == (0.0, 0.0, 0.0)
