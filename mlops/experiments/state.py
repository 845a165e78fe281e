"""How an experiment stands, and the moves between: pure functions, time is an argument.

draft → running → stopped → decided        draft → stopped   given up before it began
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from mlops.experiments.plan import Plan
from mlops.experiments.power import Duration
from mlops.rollout.state import IllegalMove

State = Literal["draft", "running", "stopped", "decided"]
STATES: Final[tuple[str, ...]] = get_args(State)
DRAFT: Final = "draft"
RUNNING: Final = "running"
STOPPED: Final = "stopped"
DECIDED: Final = "decided"
Decision = Literal["ship", "roll back"]


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it stands.

    Attributes:
        identity: 32 hex digits; also the salt of its split, so that every experiment draws anew.
        plan: What it is asked.
        needs: What that takes, computed before it started.
        state: One of `STATES`.
        requested_by: Who asked for it.
        reason: Why.
        created: Seconds since the epoch, as the next four.
        started: When somebody started it.
        began: When its split was first written.
        stopped: When it was stopped.
        looked: When it was last looked at.
        note: What it waits for.
        why_stopped: A sentence.
        decision: What people made of it: ``ship`` or ``roll back``.
        arm: The arm that the decision is about.
        forced: Whether it was started although it could not end within its longest duration.
        holds: Whether the split of its endpoint may be its own.
        look: The last look, as plain values; empty before the first.
        least_p: Smallest p-value so far, by arm and metric.
        generation: Counts the moves.
    """

    identity: str
    plan: Plan
    needs: Duration
    state: State
    requested_by: str
    reason: str
    created: float
    started: float | None = None
    began: float | None = None
    stopped: float | None = None
    looked: float | None = None
    note: str = ""
    why_stopped: str = ""
    decision: str = ""
    arm: str = ""
    forced: bool = False
    holds: bool = False
    look: Mapping[str, Any] = field(default_factory=dict)
    least_p: Mapping[tuple[str, str], float] = field(default_factory=dict)
    generation: int = 0


def start(experiment: Experiment, now: float, force: bool = False) -> Experiment:
    """Start a draft.

    Raises:
        IllegalMove: It is no draft, or could not end within its longest duration and is not forced.
    """
    _ask(experiment.state == DRAFT, f"the experiment is {experiment.state} and cannot be started")
    if not (experiment.needs.fits or force):
        longest = experiment.plan.longest_seconds / 86400
        needed = experiment.needs.days
        told = f"about {needed:.1f} days" if needed < 1e6 else "for ever, since nobody comes"
        raise IllegalMove(
            f"it needs {experiment.needs.subjects} subjects, which takes {told}; its longest duration is {longest:.1f} "
            "days: ask for a larger minimum effect, let it run longer, or force it"
        )
    return _moved(experiment, state=RUNNING, started=now, forced=not experiment.needs.fits)


def hold(experiment: Experiment) -> Experiment:
    """Note that the split may be the experiment's own from now on."""
    return _moved(experiment, holds=True)


def begin(experiment: Experiment, now: float) -> Experiment:
    """Note that the split was written for the first time."""
    return _moved(experiment, began=now, note="")


def stop(experiment: Experiment, now: float, why: str) -> Experiment:
    """End it; the split is given back by whoever wrote it.

    Raises:
        IllegalMove: It has ended.
    """
    _ask(experiment.state in (DRAFT, RUNNING), f"the experiment is {experiment.state} and cannot be stopped")
    return _moved(experiment, state=STOPPED, stopped=now, why_stopped=why, note="")


def free(experiment: Experiment) -> Experiment:
    """Note that the split is not the experiment's any more."""
    return _moved(experiment, holds=False, note="")


def decide(experiment: Experiment, decision: Decision, arm: str) -> Experiment:
    """Note what people make of it.

    Raises:
        IllegalMove: It has not been stopped, was decided, or has no such arm.
    """
    _ask(experiment.state == STOPPED, f"the experiment is {experiment.state}; only a stopped one can be decided")
    arms = [each.name for each in experiment.plan.treatments]
    _ask(decision != "ship" or arm in arms, f"one of {', '.join(arms)} can be shipped")
    return _moved(experiment, state=DECIDED, decision=decision, arm=arm if decision == "ship" else "")


def looked(
    experiment: Experiment, now: float, look: Mapping[str, Any], least_p: Mapping[tuple[str, str], float]
) -> Experiment:
    """Note what a look gave."""
    return replace(experiment, looked=now, look=look, least_p=least_p)


def _moved(experiment: Experiment, **values: Any) -> Experiment:  # noqa: ANN401  (fields of many types)
    return replace(experiment, generation=experiment.generation + 1, **values)


def _ask(holds: bool, sentence: str) -> None:
    if not holds:
        raise IllegalMove(sentence)
