"""Cry wolf and power, by simulation. The seeds are fixed; the bounds hold for others too."""

import numpy as np
import pytest

from benchmarks.experiments import ALPHA, CASES, METHODS, POWER, TRIALS, peeked, whole
from mlops.experiments import quantiles
from mlops.experiments.plan import Method
from mlops.experiments.sequential import (
    always_valid_p,
    crossing,
    half_width,
    mixture_for,
    mixture_over_variance,
    needed_drift,
)

NAMES = list(CASES)


@pytest.mark.parametrize("name", NAMES)
def test_peeking_at_nothing_cries_wolf_in_one_of_twenty_at_most(name: str) -> None:
    simulate, metric, base = CASES[name]
    assert simulate(metric, base, np.random.default_rng(11), 0.0, TRIALS) <= ALPHA


@pytest.mark.parametrize("name", NAMES)
def test_the_minimum_effect_is_found_as_often_as_planned(name: str) -> None:
    simulate, metric, base = CASES[name]
    power = simulate(metric, base, np.random.default_rng(12), metric.sign * metric.minimum_effect, TRIALS)
    assert power == pytest.approx(POWER, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_whole_experiments_hardly_ever_cry_wolf_and_find_what_was_planned(method: Method) -> None:
    """All of the analysis as people are answered by it; fewer trials, so that the bounds are wider."""
    nothing = whole(np.random.default_rng(13), 0.2, 30, method)
    assert nothing["cried"] <= ALPHA
    assert nothing["ship"] <= ALPHA
    assert nothing["mismatch"] == 0
    assert whole(np.random.default_rng(14), 0.1, 30, method)["ship"] > POWER - 0.2


def test_peeking_at_a_fixed_interval_does_cry_wolf() -> None:
    """The simulation can fail: what is right at one look is wrong at fifty."""
    assert peeked(np.random.default_rng(13), 500, 1000) > 0.2


@pytest.mark.parametrize("drift", [0.0, 1.5, 3.6])
def test_the_recursion_agrees_with_simulated_motion(drift: float) -> None:
    random = np.random.default_rng(14)
    shares = np.arange(1, 21) / 20
    motion = np.cumsum(random.normal(drift / 20, np.sqrt(1 / 20), (20_000, 20)), axis=1) / shares
    crossed = (np.abs(motion) > half_width(1 / shares, mixture_over_variance(ALPHA), ALPHA)).any(axis=1).mean()
    assert crossing(drift, ALPHA, 20) == pytest.approx(crossed, abs=0.01)


def test_p_value_and_interval_say_the_same() -> None:
    random = np.random.default_rng(15)
    effect, variance = random.normal(0, 3, 1000), random.uniform(0.1, 2, 1000)
    away = half_width(variance, 0.7, 0.01)
    assert np.array_equal(np.abs(effect) > away, always_valid_p(effect, variance, 0.7) < 0.01)


def test_an_interval_that_pays_for_looks_is_wider_and_no_variance_says_nothing() -> None:
    assert half_width(1.0, 1.0, 0.05) > 1.96
    assert half_width(np.inf, 1.0, 0.05) == np.inf
    assert always_valid_p(np.nan, np.inf, 1.0) == 1.0
    assert needed_drift(0.05, 0.9, 10) > needed_drift(0.05, 0.8, 10) > 2.8
    assert mixture_for(0.2, 0.05, 0.8, 10) == pytest.approx(4 * mixture_for(0.1, 0.05, 0.8, 10))


@pytest.mark.parametrize("factor", [1.0, 1.2])
def test_the_interval_of_a_quantile_holds_the_true_factor(factor: float) -> None:
    random = np.random.default_rng(16)
    held = 0
    for _ in range(60):
        one, two = (random.lognormal(0, 0.5, 800) * times for times in (1.0, factor))
        low, high = quantiles.log_ratio_interval(one, two, 0.9, 0.002, ALPHA)
        held += low <= np.log(factor) <= high
        assert low < np.log(np.quantile(two, 0.9) / np.quantile(one, 0.9)) < high
    assert held >= 57


def test_few_times_leave_every_factor_possible() -> None:
    times = np.array([1.0, 2.0])
    assert quantiles.log_ratio_interval(times, times, 0.5, 0.01, 0.05) == (-np.inf, np.inf)
