"""What each strategy goes through, and how traffic is split at each step: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from mlops.rollout.settings import RolloutSettings
from mlops.rollout.state import (
    BLUE_GREEN,
    CANARY,
    CHAMPION_CHALLENGER,
    LIVE,
    RISKS,
    ROLLING,
    SHADOW,
    STRATEGIES,
    IllegalMove,
    Release,
    Step,
)
from mlops.rollout.traffic import CHALLENGER, CHAMPION, Split, Variant

MOST_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for.

    Attributes:
        endpoint: Whose traffic it is about.
        model: Name of the registered model.
        strategy: One of `STRATEGIES`.
        candidate: Version to release, and the digest of its bundle.
        baseline: Version that is champion, and the digest of its bundle.
        risk: ``low``, ``medium`` or ``high``.
        requested_by: Who asks.
        reason: Why.
        steps: What it goes through; those of the strategy in the settings where there are none.
        policy: Defaults of the endpoint that are others for the candidate.
    """

    endpoint: str
    model: str
    strategy: str
    candidate: tuple[str, str]
    baseline: tuple[str, str]
    risk: str
    requested_by: str
    reason: str
    steps: Sequence[Step] = ()
    policy: Mapping[str, Any] | None = None


def plan(identity: str, wish: Wish, settings: RolloutSettings, now: float) -> Release:
    """Return the release that somebody asks for, before anybody has approved of it.

    Raises:
        IllegalMove: It makes no sense, such as a canary whose weights shrink.
    """
    for fault, told in _faults(wish):
        if fault:
            raise IllegalMove(told)
    steps = tuple(wish.steps) or steps_of(wish.strategy, settings)
    _check(wish.strategy, steps)
    return Release(
        identity=identity,
        endpoint=wish.endpoint,
        model=wish.model,
        strategy=wish.strategy,
        candidate=wish.candidate[0],
        candidate_digest=wish.candidate[1],
        baseline=wish.baseline[0],
        baseline_digest=wish.baseline[1],
        steps=steps,
        risk=wish.risk,
        requested_by=wish.requested_by,
        reason=wish.reason.strip(),
        created=now,
        updated=now,
        policy=dict(wish.policy or {}),
    )


def steps_of(strategy: str, settings: RolloutSettings) -> tuple[Step, ...]:
    """Return the steps of a strategy where nobody says others."""
    seconds, minimum = settings.step_seconds, settings.step_requests
    shares: Mapping[str, Sequence[float]] = {
        BLUE_GREEN: (1.0,),
        CANARY: settings.canary_weights,
        ROLLING: settings.rolling_shares,
        SHADOW: (0.0,),
        CHAMPION_CHALLENGER: (settings.challenger_weight,),
    }
    if strategy == CHAMPION_CHALLENGER:
        seconds = inf
    return tuple(Step(share, seconds, minimum) for share in shares[strategy])


def split_of(release: Release) -> Split | None:
    """Return the split that a release needs as it stands; None where the champion has everything."""
    step = release.current_step
    if release.phase not in LIVE or step is None:
        return None
    shadow, rolling = release.strategy == SHADOW, release.strategy == ROLLING
    weight = 0.0 if shadow else step.weight
    champion = Variant(
        CHAMPION, release.baseline, release.baseline_digest, 1 - weight, policy=dict(release.baseline_policy)
    )
    challenger = Variant(CHALLENGER, release.candidate, release.candidate_digest, weight, shadow, dict(release.policy))
    return Split(
        release.model,
        (champion, challenger),
        salt=release.identity,
        release=release.identity,
        rolling=step.weight if rolling else None,
    )


def _faults(wish: Wish) -> Sequence[tuple[bool, str]]:
    same = wish.candidate == wish.baseline
    return (
        (wish.strategy not in STRATEGIES, f"the strategies are {', '.join(STRATEGIES)}"),
        (wish.risk not in RISKS, f"the risks are {', '.join(RISKS)}"),
        (not wish.reason.strip(), "a release needs a reason"),
        (not wish.requested_by.strip(), "a release needs somebody who asks for it"),
        (not wish.candidate[1] or not wish.baseline[1], "a version without a digest cannot be verified"),
        (same and not wish.policy, f"version {wish.candidate[0]} is champion already"),
    )


def _check(strategy: str, steps: Sequence[Step]) -> None:
    weights = [step.weight for step in steps]
    if not 0 < len(steps) <= MOST_STEPS or any(not 0 <= weight <= 1 for weight in weights):
        raise IllegalMove(f"a release has 1 to {MOST_STEPS} steps, each with a weight from 0 to 1")
    if any(not step.seconds >= 0 or step.minimum < 1 for step in steps):
        raise IllegalMove("a step lasts some time and has a minimum of at least 1 request")
    if weights != sorted(set(weights)):
        raise IllegalMove("weights grow from step to step")
    if strategy == SHADOW and weights != [0.0]:
        raise IllegalMove("a shadow has one step of weight 0")
    if strategy != SHADOW and not weights[0]:
        raise IllegalMove("only a shadow has a step of weight 0")
    if strategy == BLUE_GREEN and weights != [1.0]:
        raise IllegalMove("blue-green has one step of weight 1")
    if strategy == CHAMPION_CHALLENGER and [step.seconds for step in steps] != [inf]:
        raise IllegalMove("champion and challenger have one step of infinite seconds: a person ends it")
