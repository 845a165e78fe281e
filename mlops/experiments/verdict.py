"""The answer to an experiment: ship, roll back, or wait; one plain sentence, and the reasons under it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Final, Literal

from mlops.experiments.findings import Finding
from mlops.experiments.health import Health
from mlops.experiments.plan import Metric, Plan

Answer = Literal["ship", "roll back", "wait"]
State = Literal["better", "worse", "within", "broken", "futile", "open"]
DAY: Final = 86400.0
HOUR: Final = 3600.0
MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an experiment is.

    Attributes:
        seconds: Since its first look at traffic.
        subjects: Of all arms, whose windows are over.
        planned: Subjects that the plan asks for.
    """

    seconds: float
    subjects: int
    planned: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and what it amounts to.

    Attributes:
        finding: The figures.
        p_adjusted: Its p-value, corrected for all comparisons of the experiment (Holm).
        state: ``better`` or ``worse`` (shown), ``within`` (shown not to be worse by the minimum effect), ``broken`` (a
            guardrail: shown to be worse, and by more than is tolerated as it looks), ``futile`` (shown not to be better
            by the minimum effect), ``open``.
    """

    finding: Finding
    p_adjusted: float
    state: State


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer.

    Attributes:
        answer: ``ship``, ``roll back`` or ``wait``.
        arm: The arm to ship; empty for none.
        sentence: The answer in plain words.
        reasons: What it rests on, a sentence each.
        stop: Why the experiment must be stopped now, in a sentence; empty where it need not.
    """

    answer: Answer
    arm: str
    sentence: str
    reasons: tuple[str, ...]
    stop: str = ""


def judged(plan: Plan, findings: Sequence[Finding], adjusted: Sequence[float], final: bool) -> list[Judged]:
    """Say what every finding amounts to.

    Args:
        plan: The plan.
        findings: What was found.
        adjusted: Their p-values, corrected.
        final: Whether benefits may be told; harm always is.
    """
    metrics = {metric.name: metric for metric in plan.metrics}
    return [
        Judged(finding, float(p), _state(plan, metrics[finding.metric], finding, float(p), final))
        for finding, p in zip(findings, adjusted, strict=True)
    ]


def decide(plan: Plan, found: Sequence[Judged], health: Health, progress: Progress) -> Verdict:
    """Answer.

    A wrong sample ratio or a broken guardrail stops at once. An arm is shipped that is shown to be better on a primary
    metric and worse on none, all its guardrails held; without primary metrics, one whose guardrails all hold. An arm
    is out that is shown to be worse, or not better by the minimum effect. What is still open when the longest duration
    is over, or a fixed size is reached, is not shipped.
    """
    reasons = tuple(_told(plan, each) for each in found) + health.warnings
    if health.mismatch:
        text = "Roll back: the arms do not have the shares of the subjects that were planned, so nothing can be told."
        return Verdict("roll back", "", text, reasons, "the sample ratio is wrong")
    broken = [each for each in found if each.state == "broken"] if health.enough else []
    stop = f"a guardrail is broken: {_told(plan, broken[0])}" if broken else ""
    by_arm = {arm.name: [each for each in found if each.finding.arm == arm.name] for arm in plan.treatments}
    winners = [name for name, each in by_arm.items() if health.enough and _wins(plan, each)]
    if winners:
        best = max(winners, key=lambda name: _gain(plan, by_arm[name]))
        return Verdict("ship", best, _ship(plan, best, by_arm[best]), reasons, stop)
    if stop or (health.enough and all(_out(plan, each) for each in by_arm.values())):
        return Verdict("roll back", "", _roll_back(plan, broken or found), reasons, stop)
    if over := _over(plan, progress):
        text = f"Roll back: {over}, and no arm is shown to be better. The champion stays."
        return Verdict("roll back", "", text, reasons, over)
    return Verdict("wait", "", _wait(plan, progress, health), reasons)


def harmful(verdict: Verdict, harm: str) -> Verdict:
    """Return the answer where an arm does harm, whatever else was found: part of a sentence says which, and how."""
    return Verdict("roll back", "", f"Roll back: {harm}.", (harm, *verdict.reasons), harm)


def _over(plan: Plan, progress: Progress) -> str:
    """Say why there is nothing more to wait for; empty where there is."""
    if progress.seconds >= plan.longest_seconds:
        return "the longest duration is over"
    # Looked at again, a test for one look would cry wolf.
    return "the planned size is reached" if plan.method == "fixed" and progress.subjects >= progress.planned else ""


def more_seconds(plan: Plan, progress: Progress) -> float:
    """Return how long to wait: until the planned subjects have come at today's pace, or else until the end."""
    left = max(0.0, plan.longest_seconds - progress.seconds)
    missing = progress.planned - progress.subjects
    if missing <= 0:
        return left
    pace = progress.subjects / max(progress.seconds - plan.window_seconds, 1.0)
    return min(left, missing / pace) if pace > 0 else left


def _state(plan: Plan, metric: Metric, finding: Finding, p_adjusted: float, final: bool) -> State:
    shown = p_adjusted <= (plan.alpha_last if final else plan.alpha_early)
    if shown and finding.gain < 0:
        if metric.role == "primary":
            return "worse"
        if finding.harmful:
            return "broken"
    if not final:
        return "open"
    if metric.role == "guardrail":
        return "within" if finding.within else "open"
    if shown and finding.gain > 0:
        return "better"
    return "futile" if finding.futile else "open"


def _roles(plan: Plan) -> Mapping[str, str]:
    return {metric.name: metric.role for metric in plan.metrics}


def _wins(plan: Plan, found: Sequence[Judged]) -> bool:
    roles = _roles(plan)
    primary = [each.state for each in found if roles[each.finding.metric] == "primary"]
    guards = [each.state for each in found if roles[each.finding.metric] == "guardrail"]
    better = "better" in primary and "worse" not in primary
    return all(state == "within" for state in guards) and (better or not primary)


def _out(plan: Plan, found: Sequence[Judged]) -> bool:
    roles = _roles(plan)
    states = [each.state for each in found if roles[each.finding.metric] == "primary"]
    return "worse" in states or any(each.state == "broken" for each in found) or (
        bool(states) and all(state == "futile" for state in states)
    )  # fmt: skip


def _gain(plan: Plan, found: Sequence[Judged]) -> float:
    roles = _roles(plan)
    gains = [each.finding.gain for each in found if roles[each.finding.metric] == "primary" and each.state == "better"]
    return max(gains, default=0.0)


def _ship(plan: Plan, arm: str, found: Sequence[Judged]) -> str:
    better = [each for each in found if each.state == "better"]
    told = "; ".join(_told(plan, each) for each in better) or "it is shown not to be worse"
    return f"Ship {arm}: {told}."


def _roll_back(plan: Plan, found: Sequence[Judged]) -> str:
    telling = [each for each in found if each.state in ("broken", "worse", "futile")]
    told = "; ".join(_told(plan, each) for each in telling)
    return f"Roll back: {told}."


def _wait(plan: Plan, progress: Progress, health: Health) -> str:
    why = (
        f"{progress.subjects} of {progress.planned} planned subjects have come, and nothing is certain yet"
        if health.enough
        else f"an arm has fewer than {plan.least_subjects} subjects"
    )
    return f"Wait {told_time(more_seconds(plan, progress))}: {why}."


def told_time(seconds: float) -> str:
    """Say how long to wait, such as ``3 more days``, rounded up."""
    unit, name = next(
        ((size, name) for size, name in ((DAY, "day"), (HOUR, "hour")) if seconds >= size), (MINUTE, "minute")
    )
    count = max(1, ceil(seconds / unit - 1e-9))
    return f"{count} more {name}{'' if count == 1 else 's'}"


def _told(plan: Plan, each: Judged) -> str:
    finding = each.finding
    metric = next(metric for metric in plan.metrics if metric.name == finding.metric)
    if not isfinite(finding.effect.value):
        return f"{finding.metric} of {finding.arm}: nothing can be told yet"
    one, two = (_value(metric, value) for value in finding.values)
    change = f", {finding.lift.value:+.1%}" if isfinite(finding.lift.value) else ""
    between = (
        f", believed between {finding.lift.low:+.1%} and {finding.lift.high:+.1%}"
        if isfinite(finding.lift.low) and isfinite(finding.lift.high)
        else ""
    )
    state = {
        "better": "is better",
        "worse": "is worse",
        "broken": "is worse than its guardrail tolerates",
        "within": "is not worse by more than is tolerated",
        "futile": "is not better by as much as was asked for",
        "open": "is not decided",
    }[each.state]
    return f"{finding.metric} of {finding.arm} {state} ({two} against {one} of the champion{change}{between})"


def _value(metric: Metric, value: float) -> str:
    if metric.kind == "binary":
        return f"{value:.2%}"
    return f"{value:.4g} s" if metric.source == "seconds" and metric.kind != "ratio" else f"{value:.4g}"
