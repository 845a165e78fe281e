import numpy as np
import pytest

from mlops.experiments.health import check, ratio_p, ratio_p_always


def test_peeking_at_the_sample_ratio_stops_hardly_any_healthy_experiment() -> None:
    random = np.random.default_rng(1)
    steps = random.multinomial(40, (0.5, 0.5), (2000, 250))
    counts = steps.cumsum(axis=1)
    assert (ratio_p_always(counts, (0.5, 0.5)) < 0.001).any(axis=1).mean() <= 0.001
    # Chi-square at every look does not keep that promise.
    assert (ratio_p(counts, (0.5, 0.5)) < 0.001).any(axis=1).mean() > 0.002


@pytest.mark.parametrize(("shares", "subjects"), [((0.55, 0.45), 4000), ((0.52, 0.48), 20_000)])
def test_a_wrong_ratio_is_found(shares: tuple[float, float], subjects: int) -> None:
    random = np.random.default_rng(2)
    counts = random.multinomial(subjects, shares, 500)
    assert (ratio_p_always(counts, (0.5, 0.5)) < 0.001).mean() > 0.9


def test_uneven_arms_and_nobody_at_all_are_healthy() -> None:
    assert ratio_p((9000, 1000), (0.9, 0.1)) == pytest.approx(1)
    assert ratio_p_always((0, 0, 0), (0.2, 0.3, 0.5)) == pytest.approx(1)


def test_what_is_wrong_is_said(plan_of) -> None:  # type: ignore[no-untyped-def]
    from mlops.experiments.plan import Metric

    plan = plan_of(Metric("errors", "binary", "error", baseline=0.1))
    found = check(plan, (3000, 1000), 100)
    assert found.mismatch
    assert "champion 3000, challenger 1000" in found.warnings[1]
    assert "100 of 4000 subjects" in found.warnings[0]
    assert not check(plan, (2000, 2000), 3).warnings
    assert not check(plan, (2000, 10), 0).enough
