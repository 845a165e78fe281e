"""Each test against what it promises: p-values under no difference are uniform, intervals hold the truth as often."""

import numpy as np
import pytest
from scipy import stats

from mlops.experiments import compare, corrections, summaries
from mlops.experiments.cuped import adjusted

TRIALS = 400
TOLERANCE = 0.03
"""Three standard errors of a share of 5 % over so many trials."""


def misses(found: list[compare.Comparison], effect: float) -> tuple[float, float]:
    """Share of the comparisons with a p-value under 0.05, and of those whose interval leaves the true effect out."""
    low = np.mean([each.p_value < 0.05 for each in found])
    out = np.mean([not each.effect.low <= effect <= each.effect.high for each in found])
    return float(low), float(out)


def test_means_of_unequal_variances_and_sizes() -> None:
    random = np.random.default_rng(1)
    found = [compare.means(random.normal(3, 1, 80), random.normal(3, 4, 25), 0.05) for _ in range(TRIALS)]
    cried, out = misses(found, 0.0)
    assert cried == pytest.approx(0.05, abs=TOLERANCE)
    assert out == pytest.approx(0.05, abs=TOLERANCE)


def test_welch_is_what_scipy_computes() -> None:
    random = np.random.default_rng(10)
    one, two = random.normal(3, 1, 30), random.normal(3.4, 2, 12)
    found, known = compare.means(one, two, 0.05), stats.ttest_ind(two, one, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert found.p_value == pytest.approx(known.pvalue)
    assert (found.effect.low, found.effect.high) == pytest.approx((interval.low, interval.high))


def test_shares_by_chi_square() -> None:
    random = np.random.default_rng(2)
    hits = random.binomial(400, 0.2, (TRIALS, 2))
    found = [compare.shares((int(a), int(b)), (400, 400), 0.05) for a, b in hits]
    assert {each.test for each in found} == {"chi-square test"}
    cried, out = misses(found, 0.0)
    assert cried == pytest.approx(0.05, abs=TOLERANCE)
    assert out == pytest.approx(0.05, abs=TOLERANCE)


@pytest.mark.parametrize(("subjects", "test"), [(60, "Boschloo's exact test"), (300, "Fisher's exact test")])
def test_rare_hits_are_compared_exactly_and_never_cry_too_often(subjects: int, test: str) -> None:
    random = np.random.default_rng(3)
    hits = random.binomial(subjects, 3 / subjects, (40 if subjects < 100 else TRIALS, 2))
    found = [compare.shares((int(a), int(b)), (subjects, subjects), 0.05) for a, b in hits if a + b]
    assert test in {each.test for each in found}
    assert misses(found, 0.0)[0] <= 0.05 + TOLERANCE


def test_ratios_of_subjects_that_ask_often_need_the_delta_method() -> None:
    random = np.random.default_rng(4)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        below = 1.0 + random.poisson(4, 200)
        return random.gamma(2, 1, 200) * below, below

    cried, out = misses([compare.ratios(draw(), draw(), 0.05) for _ in range(TRIALS)], 0.0)
    assert cried == pytest.approx(0.05, abs=TOLERANCE)
    assert out == pytest.approx(0.05, abs=TOLERANCE)


def test_quantiles_by_the_bootstrap() -> None:
    random = np.random.default_rng(5)
    found = [
        compare.quantiles(random.lognormal(0, 0.5, 500), random.lognormal(0, 0.5, 500), 0.9, 0.05, seed)
        for seed in range(TRIALS)
    ]
    cried, out = misses(found, 0.0)
    assert cried <= 0.05 + TOLERANCE
    assert out <= 0.05 + TOLERANCE


def test_the_beta_shortcut_is_the_bootstrap() -> None:
    """What is drawn without resampling spreads as what is drawn by resampling."""
    random = np.random.default_rng(6)
    times = np.sort(random.lognormal(0, 0.5, 300))
    resampled = np.quantile(random.choice(times, (4000, 300)), 0.9, axis=1, method="inverted_cdf")
    same = compare.quantiles(times, times, 0.9, 0.05)
    # The difference of two independent resamples has a variance of twice that of one.
    width = (same.effect.high - same.effect.low) / (2 * 1.96)
    assert width == pytest.approx(np.sqrt(2) * resampled.std(), rel=0.1)


def test_sizes_and_lifts_hold_what_is_true() -> None:
    random = np.random.default_rng(7)
    inside = {"d": 0, "lift": 0, "h": 0}
    for _ in range(TRIALS):
        found = compare.means(random.normal(10, 2, 100), random.normal(11, 2, 100), 0.05)
        inside["d"] += found.size.low <= 0.5 <= found.size.high
        inside["lift"] += found.lift.low <= 0.1 <= found.lift.high
        hits = random.binomial(300, 0.3), random.binomial(300, 0.4)
        true = 2 * (np.arcsin(np.sqrt(0.4)) - np.arcsin(np.sqrt(0.3)))
        size = compare.shares((int(hits[0]), int(hits[1])), (300, 300), 0.05).size
        inside["h"] += size.low <= true <= size.high
    assert all(count / TRIALS == pytest.approx(0.95, abs=TOLERANCE) for count in inside.values()), inside


def test_what_cannot_be_told_is_no_number() -> None:
    none = compare.shares((0, 0), (20, 20), 0.05)
    assert (none.p_value, none.effect.value) == (1.0, 0.0)
    assert np.isnan(none.lift.value)
    same = compare.means([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 0.05)
    assert (same.p_value, same.effect) == (1.0, compare.Interval(0.0, 0.0, 0.0))
    assert compare.means([1.0, 1.0], [2.0, 2.0], 0.05).p_value == 0.0
    assert np.isnan(compare.cohen_d([1.0, 1.0], [1.0, 1.0], 0.05).value)
    assert summaries.mean([1.0]).variance == np.inf
    assert summaries.share(0, 50).variance > 0


def test_holm_as_done_by_hand() -> None:
    assert corrections.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_keeps_the_family_to_alpha() -> None:
    random = np.random.default_rng(8)
    cried = (corrections.holm(random.random((4000, 5))) <= 0.05).any(axis=1).mean()
    assert cried <= 0.05 + 0.01
    assert (random.random((4000, 5)) <= 0.05).any(axis=1).mean() > 0.15


def test_cuped_takes_out_what_the_past_tells_and_keeps_the_effect() -> None:
    random = np.random.default_rng(9)
    effects, plain = [], []
    for _ in range(200):
        pasts = [random.normal(5, 2, 300) for _ in range(2)]
        arms = [past + random.normal(0, 1, 300) + lift for past, lift in zip(pasts, (0.0, 0.5), strict=True)]
        for past in pasts:
            past[:60] = np.nan
        one, two = adjusted(arms, pasts)
        effects.append(two.mean() - one.mean())
        plain.append(arms[1].mean() - arms[0].mean())
    assert np.mean(effects) == pytest.approx(0.5, abs=0.03)
    assert np.var(effects) < 0.5 * np.var(plain)


def test_cuped_without_a_past_changes_nothing() -> None:
    values, unknown = np.array([1.0, 2.0, 4.0]), np.full(3, np.nan)
    assert np.array_equal(adjusted([values, values], [unknown, unknown])[0], values)
