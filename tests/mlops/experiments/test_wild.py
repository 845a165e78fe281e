"""Plans and outcomes of any size: an answer or a sentence that says what is wrong, and never anything else."""

from collections.abc import Callable
from math import inf

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops.experiments.analysis import look
from mlops.experiments.observations import Outcome, Row, observe
from mlops.experiments.plan import MOST_VALUE, Arm, Metric, Plan, PlanError
from mlops.experiments.power import Expected, duration
from mlops.experiments.telling import told

MAYBE = st.none() | st.floats(min_value=0) | st.sampled_from([1e-300, 1e-12, 0.5, 1e10, 1e200])
METRICS = st.builds(
    Metric,
    name=st.just("m"),
    kind=st.sampled_from(["binary", "continuous", "ratio", "quantile"]),
    source=st.just("seconds"),
    role=st.sampled_from(["primary", "guardrail"]),
    better=st.sampled_from(["higher", "lower"]),
    minimum_effect=st.floats(0, 10, exclude_min=True) | st.sampled_from([1e-300, 0.1]),
    baseline=MAYBE,
    deviation=MAYBE,
    quantile=st.floats(0, 1, exclude_min=True, exclude_max=True) | st.sampled_from([1e-300, 0.95]),
)
PASTS = st.builds(Expected, baseline=st.floats(), deviation=st.floats(min_value=0))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_plan_is_one_or_says_what_is_wrong(plan_of: Callable[..., Plan], data: st.DataObject) -> None:
    try:
        metric = data.draw(METRICS)
        weights = data.draw(st.lists(st.floats(0, 0.3), min_size=1, max_size=3) | st.just([1e-320]))
        arms = Arm("champion", "1", 1 - sum(weights)), *(Arm(f"a{n}", "2", each) for n, each in enumerate(weights))
        plan = plan_of(
            metric,
            arms=arms,
            alpha=data.draw(st.sampled_from([1e-6, 0.05, 0.2])),
            power=data.draw(st.floats(0.5, 0.99)),
            method=data.draw(st.sampled_from(["sequential", "fixed"])),
            least_subjects=data.draw(st.integers(2, 10**400)),
        )
        needs = duration(plan, {"m": data.draw(PASTS)}, data.draw(st.floats(min_value=0)))
    except PlanError:
        return
    assert needs.subjects >= plan.least_subjects
    assert all(each.effect > 0 and 0 < each.mixture < inf for each in needs.needs.values())


SENT = st.floats(-MOST_VALUE, MOST_VALUE) | st.sampled_from([0.0, 5e-324, 1e-300, 1e-160, 1.0, MOST_VALUE])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    sent=st.tuples(st.lists(SENT, min_size=1, max_size=4), st.lists(SENT, min_size=1, max_size=4)),
    kind=st.sampled_from(["binary", "continuous", "ratio"]),
    per=st.sampled_from(["requests", "outcome.o"]),
    method=st.sampled_from(["sequential", "fixed"]),
)
def test_whatever_was_sent_is_looked_at(
    plan_of: Callable[..., Plan], sent: tuple[list[float], list[float]], kind: str, per: str, method: str
) -> None:
    metric = Metric("m", kind, "outcome.o", per=per, baseline=0.5, deviation=0.5)  # type: ignore[arg-type]
    plan = plan_of(metric, method=method, window_seconds=60.0, least_subjects=5)
    arms = ("champion", "challenger")
    rows = [Row(float(n), f"{n:03}", arms[n % 2], "ok", 1.0) for n in range(20)]
    said = [Outcome(row.time, row.subject, "o", sent[n % 2][n // 2 % len(sent[n % 2])]) for n, row in enumerate(rows)]
    needs = duration(plan, {}, 10.0)
    seen = observe(rows, said, arms, 60.0, 1e9)
    ample = type(needs)(needs.needs, 20, needs.days, needs.fits)
    found = look(plan, ample if method == "fixed" else needs, seen, {}, {}, 1e5)
    assert told(found)["sentence"]
