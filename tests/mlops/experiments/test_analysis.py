"""Whole looks: rows in, one sentence out."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.experiments.analysis import Look, look
from mlops.experiments.observations import Outcome, Row, expected, observe
from mlops.experiments.plan import Arm, Metric, Plan
from mlops.experiments.power import Expected, duration
from mlops.experiments.telling import told
from mlops.experiments.verdict import told_time

ERRORS = Metric("errors", "binary", "error", baseline=0.2, minimum_effect=0.5)
SLOW = Metric("slow", "quantile", "seconds", deviation=0.4, minimum_effect=0.2, quantile=0.9)
FACES = Metric("faces", "ratio", "counts.faces", better="higher", baseline=2.0, deviation=1.5, minimum_effect=0.2)
DAY = 86400.0


def rows(
    subjects: int, rates: dict[str, float] | None = None, slower: float = 1.0, more: float = 1.0, seed: int = 1
) -> Iterator[Row]:
    """One row a subject, arms by turns; rates of failure by arm, factors on the challenger's times and faces."""
    random = np.random.default_rng(seed)
    for number in range(subjects):
        arm = ("champion", "challenger")[number % 2]
        treated = arm == "challenger"
        failed = random.random() < (rates or {}).get(arm, 0.2)
        seconds = random.lognormal(-3, 0.4) * (slower if treated else 1.0)
        faces = random.poisson(2.0 * (more if treated else 1.0))
        yield Row(1000.0 + number, f"{number:06x}", arm, "failed" if failed else "ok", seconds, {"faces": faces})


def looked(plan: Plan, seen: Iterator[Row], seconds: float = 1e5, **more: object) -> Look:
    given = {metric.name: Expected(1.0, 1.0) for metric in plan.metrics}
    needs = duration(plan, given, 1000)
    names = [arm.name for arm in plan.arms]
    return look(plan, needs, observe(seen, (), names, 0.0, 1e9), {}, more.get("least_p", {}), seconds)  # type: ignore[arg-type]


def test_a_better_arm_is_shipped_with_its_numbers(plan_of: Callable[..., Plan]) -> None:
    verdict = looked(plan_of(ERRORS), rows(1200, {"challenger": 0.08})).verdict
    assert (verdict.answer, verdict.arm, verdict.stop) == ("ship", "challenger", "")
    assert verdict.sentence.startswith("Ship challenger: errors of challenger is better (")
    assert "% of the champion, -" in verdict.sentence


def test_a_worse_arm_is_rolled_back(plan_of: Callable[..., Plan]) -> None:
    verdict = looked(plan_of(ERRORS), rows(1200, {"challenger": 0.4})).verdict
    assert (verdict.answer, verdict.arm) == ("roll back", "")
    assert "errors of challenger is worse" in verdict.sentence


def test_nothing_certain_waits_for_as_long_as_it_takes(plan_of: Callable[..., Plan]) -> None:
    found = looked(plan_of(ERRORS), rows(400), seconds=DAY)
    assert found.verdict.answer == "wait"
    missing = found.progress.planned - 400
    assert missing > 0
    assert found.verdict.sentence.startswith(f"Wait {told_time(missing / 400 * DAY)}: 400 of ")


def test_the_end_of_the_longest_duration_is_an_answer(plan_of: Callable[..., Plan]) -> None:
    verdict = looked(plan_of(ERRORS), rows(400), seconds=1e6).verdict
    assert (verdict.answer, verdict.stop) == ("roll back", "the longest duration is over")


def test_a_difference_that_is_too_small_to_matter_ends_early(plan_of: Callable[..., Plan]) -> None:
    verdict = looked(plan_of(ERRORS), rows(20_000)).verdict
    assert verdict.answer == "roll back"
    assert "is not better by as much as was asked for" in verdict.sentence


def test_a_broken_guardrail_stops_and_outweighs_a_gain(plan_of: Callable[..., Plan]) -> None:
    guard = Metric("errors", "binary", "error", role="guardrail", baseline=0.2, minimum_effect=0.2)
    verdict = looked(plan_of(FACES, guard), rows(4000, {"challenger": 0.4}, more=1.5)).verdict
    assert verdict.answer == "roll back"
    assert verdict.stop.startswith("a guardrail is broken: errors of challenger")


def test_a_gain_waits_until_its_guardrail_is_held(plan_of: Callable[..., Plan]) -> None:
    guard = Metric("slow", "quantile", "seconds", role="guardrail", deviation=0.4, minimum_effect=0.15, quantile=0.5)
    plan = plan_of(FACES, guard)
    assert looked(plan, rows(250, slower=1.1, more=1.6)).verdict.answer == "wait"
    verdict = looked(plan, rows(6000, more=1.5)).verdict
    assert verdict.answer == "ship"
    assert any("slow of challenger is not worse by more than is tolerated" in each for each in verdict.reasons)


def test_a_guardrail_is_held_where_nobody_fails_at_all_and_broken_where_only_the_arm_does(
    plan_of: Callable[..., Plan],
) -> None:
    guard = Metric("errors", "binary", "error", role="guardrail", baseline=0.02, minimum_effect=1.0)
    never = {"champion": 0.0, "challenger": 0.0}
    assert looked(plan_of(guard), rows(4000, never)).verdict.answer == "ship"
    assert looked(plan_of(guard), rows(4000, never | {"challenger": 0.1})).verdict.stop
    # Surely worse, and by no more than is tolerated.
    tolerated = looked(plan_of(guard), rows(8000, never | {"challenger": 0.006}))
    assert tolerated.found[0].p_adjusted <= 0.05
    assert tolerated.verdict.answer == "ship"


def test_without_a_primary_metric_what_is_not_worse_is_shipped(plan_of: Callable[..., Plan]) -> None:
    guard = Metric("slow", "quantile", "seconds", role="guardrail", deviation=0.4, minimum_effect=0.2)
    verdict = looked(plan_of(guard), rows(8000)).verdict
    assert verdict.sentence == "Ship challenger: it is shown not to be worse."
    assert looked(plan_of(guard), rows(8000, slower=1.5)).verdict.stop


def test_a_wrong_sample_ratio_says_nothing_and_stops(plan_of: Callable[..., Plan]) -> None:
    lost = (row for row in rows(4000, {"challenger": 0.0}) if row.variant == "champion" or int(row.subject, 16) % 3)
    verdict = looked(plan_of(ERRORS), lost).verdict
    assert (verdict.answer, verdict.stop) == ("roll back", "the sample ratio is wrong")


def test_too_few_subjects_say_nothing(plan_of: Callable[..., Plan]) -> None:
    found = looked(plan_of(ERRORS, least_subjects=100), rows(150, {"challenger": 0.0, "champion": 0.9}))
    assert found.verdict.answer == "wait"
    assert "fewer than 100 subjects" in found.verdict.sentence
    assert found.found[0].finding.p_value == 1.0


def test_what_was_certain_once_stays_so(plan_of: Callable[..., Plan]) -> None:
    first = looked(plan_of(ERRORS), rows(1200, {"challenger": 0.08}))
    later = looked(plan_of(ERRORS), rows(200, {"challenger": 0.15}), least_p=first.least_p)
    assert later.least_p == first.least_p
    assert later.verdict.answer == "ship"


def test_a_fixed_size_is_looked_at_once(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(ERRORS, method="fixed")
    early = looked(plan, rows(100, {"challenger": 0.0}), seconds=1.0)
    assert early.verdict.answer == "wait"
    final = looked(plan, rows(2000, {"challenger": 0.08}))
    assert final.verdict.answer == "ship"
    assert final.found[0].finding.test == "chi-square test"
    open_end = looked(plan, rows(final.progress.planned, {"challenger": 0.14}, seed=6)).verdict
    assert (open_end.answer, open_end.stop) == ("roll back", "the planned size is reached")


@pytest.mark.parametrize("metric", [ERRORS, SLOW, FACES, Metric("time", "continuous", "seconds", baseline=0.05)])
@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_every_kind_is_told_in_plain_json(plan_of: Callable[..., Plan], metric: Metric, method: str) -> None:
    import json

    found = told(looked(plan_of(metric, method=method), rows(3000, {"challenger": 0.3}, 1.3, 0.7)))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    finding = found["findings"][0]
    assert finding["state"] in ("worse", "futile")
    low, value, high = (finding["lift"][name] for name in ("low", "value", "high"))
    assert low < value < high


def test_several_arms_ship_the_best(plan_of: Callable[..., Plan]) -> None:
    arms = tuple(Arm(name, str(number), 0.25) for number, name in enumerate(("champion", "a", "b", "c")))
    random = np.random.default_rng(3)
    rates = {"champion": 0.4, "a": 0.2, "b": 0.05, "c": 0.4}

    def seen() -> Iterator[Row]:
        for number in range(4000):
            arm = arms[number % 4].name
            yield Row(number, f"{number}", arm, "failed" if random.random() < rates[arm] else "ok", 0.1)

    verdict = looked(plan_of(ERRORS, arms=arms), seen()).verdict
    assert (verdict.answer, verdict.arm) == ("ship", "b")


def test_a_subject_counts_once_for_its_first_arm_and_when_its_window_is_over() -> None:
    given = [
        Row(10.0, "ada", "champion", "ok", 0.5, {"faces": 1}),
        Row(15.0, "ada", "challenger", "failed", 9.0),
        Row(18.0, "ada", "champion", "failed", 0.7, {"faces": 2}),
        Row(31.0, "ada", "champion", "failed", 0.7),
        Row(12.0, "bob", "challenger", "cached", 0.1),
        Row(14.0, "bob", "challenger", "ok", 0.3),
        Row(95.0, "eve", "challenger", "ok", 0.2),
        Row(11.0, "joe", "picked-himself", "ok", 0.2),
    ]
    said = [Outcome(20.0, "ada", "kept", 1.0), Outcome(40.0, "ada", "kept", 1.0), Outcome(20.0, "nobody", "kept", 1.0)]
    seen = observe(given, said, ("champion", "challenger"), 20.0, 100.0)
    assert seen.exposed == {"champion": 1, "challenger": 2}
    assert seen.subjects == {"champion": ("ada",), "challenger": ("bob",)}
    assert seen.crossed == 1

    def value(arm: str, kind: str, source: str, **more: str) -> list[list[float]]:
        metric = Metric("m", kind, source, **more)  # type: ignore[arg-type]
        return [each.tolist() for each in seen.values(arm, metric)]

    assert value("champion", "binary", "error") == [[1.0], [1.0]]
    assert value("champion", "ratio", "counts.faces") == [[3.0], [2.0]]
    assert value("champion", "continuous", "outcome.kept") == [[1.0], [1.0]]
    assert value("challenger", "quantile", "seconds") == [[0.3], [1.0]]
    assert value("challenger", "continuous", "requests") == [[2.0], [1.0]]


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 100), st.sampled_from("abcdef"), st.sampled_from(("champion", "challenger")),
        st.sampled_from(("ok", "failed", "cached")), st.integers(1, 9),
    ),
    max_size=40,
)  # fmt: skip


@given(events=EVENTS, window=st.sampled_from((0.0, 5.0, 30.0)), until=st.integers(0, 100))
def test_what_has_counted_never_changes(
    events: list[tuple[int, str, str, str, int]], window: float, until: int
) -> None:
    """Always-valid intervals rest on it: a later look begins with the subjects of an earlier one, values and all."""
    every = sorted((Row(float(at), who, arm, what, each / 10) for at, who, arm, what, each in events), key=by_time)
    arms = ("champion", "challenger")
    before = observe([row for row in every if row.time <= until], (), arms, window, float(until))
    after = observe(every, (), arms, window, 200.0)
    for arm in arms:
        count = len(before.subjects[arm])
        assert after.subjects[arm][:count] == before.subjects[arm]
        for name in before.columns[arm]:
            np.testing.assert_array_equal(after.columns[arm][name][:count], before.columns[arm][name])


def by_time(row: Row) -> tuple[float, bool]:
    """As rows are read: of one time, a failure first."""
    return row.time, row.outcome != "failed"


def test_a_request_that_the_champion_answers_for_a_failed_arm_is_the_arms() -> None:
    given = [Row(10.0, "ada", "challenger", "failed", 0.5), Row(10.0, "ada", "champion", "ok", 0.9)]
    seen = observe(given, (), ("champion", "challenger"), 60.0, 100.0)
    assert (seen.exposed, seen.crossed) == ({"champion": 0, "challenger": 1}, 0)
    assert seen.values("challenger", ERRORS)[0].tolist() == [1.0]


def test_a_window_of_nothing_counts_the_first_row_alone() -> None:
    given = [Row(10.0, "ada", "champion", "ok", 0.5), Row(10.0, "ada", "champion", "failed", 0.5)]
    seen = observe(given, (), ("champion",), 0.0, 10.0)
    assert seen.values("champion", ERRORS)[0].tolist() == [0.0]
    # Who never got an answer has no time, and is no 0 either.
    failed = observe([Row(1.0, "bob", "champion", "failed", 0.1)], (), ("champion",), 0.0, 10.0)
    assert failed.values("champion", SLOW)[0].tolist() == []


def test_the_past_says_what_to_expect() -> None:
    seen = observe(rows(4000), (), ("champion",), 0.0, np.inf)
    errors, slow, faces = (expected(seen, "champion", metric) for metric in (ERRORS, SLOW, FACES))
    assert errors is not None
    assert slow is not None
    assert faces is not None
    assert errors.baseline == pytest.approx(0.2, abs=0.03)
    assert slow.deviation == pytest.approx(0.4, abs=0.03)
    assert (faces.baseline, faces.deviation) == pytest.approx((2.0, np.sqrt(2)), abs=0.1)
    assert expected(observe((), (), ("champion",), 0.0, 1.0), "champion", ERRORS) is None


def test_the_past_of_subjects_narrows_what_is_believed(plan_of: Callable[..., Plan]) -> None:
    metric = Metric("time", "continuous", "seconds", baseline=0.05, deviation=0.02, history=True)
    random = np.random.default_rng(5)
    past = {f"{number}": random.lognormal(-3, 0.5) for number in range(2000)}

    def seen() -> Iterator[Row]:
        for number in range(2000):
            seconds = past[f"{number}"] * random.uniform(0.95, 1.05)
            yield Row(number, f"{number}", ("champion", "challenger")[number % 2], "ok", seconds)

    plan = plan_of(metric)
    observed = observe(list(seen()), (), ("champion", "challenger"), 0.0, 1e9)
    needs = duration(plan, {}, 1000)
    widths = []
    for known in ({}, {"time": past}):
        lift = look(plan, needs, observed, known, {}, 10.0).found[0].finding.lift
        widths.append(lift.high - lift.low)
    assert widths[1] < 0.3 * widths[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(DAY, "1 more day"), (2.2 * DAY, "3 more days"), (7200.0, "2 more hours"), (0.0, "1 more minute")],
)
def test_times_are_told_rounded_up(seconds: float, text: str) -> None:
    assert told_time(seconds) == text
