"""The state of a release and the moves that are legal: pure, time is an argument.

    pending_approval → queued → preparing → running ⇄ paused
                                             running | paused → promoting → succeeded
    preparing | running | paused | promoting | succeeded → rolling_back → rolled_back
    pending_approval | queued | preparing → aborted        pending_approval → rejected        → failed

Every move makes a new release of the next generation, so that of two who move at the same time one is told so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

BLUE_GREEN: Final = "blue-green"
CANARY: Final = "canary"
ROLLING: Final = "rolling"
SHADOW: Final = "shadow"
CHAMPION_CHALLENGER: Final = "champion-challenger"
STRATEGIES: Final = (BLUE_GREEN, CANARY, ROLLING, SHADOW, CHAMPION_CHALLENGER)
RISKS: Final = ("low", "medium", "high")

PENDING_APPROVAL: Final = "pending_approval"
QUEUED: Final = "queued"
PREPARING: Final = "preparing"
RUNNING: Final = "running"
PAUSED: Final = "paused"
PROMOTING: Final = "promoting"
SUCCEEDED: Final = "succeeded"
ROLLING_BACK: Final = "rolling_back"
ROLLED_BACK: Final = "rolled_back"
ABORTED: Final = "aborted"
FAILED: Final = "failed"
REJECTED: Final = "rejected"
WAITING: Final = (PENDING_APPROVAL, QUEUED)
ACTIVE: Final = (PREPARING, RUNNING, PAUSED, PROMOTING, ROLLING_BACK)
"""Phases in which a release has its endpoint's split to itself."""
LIVE: Final = (RUNNING, PAUSED, PROMOTING)
"""Phases in which the candidate has, or may have, traffic; the guard watches all of them."""
OPEN: Final = (*WAITING, *ACTIVE)
ENDED: Final = (SUCCEEDED, ROLLED_BACK, ABORTED, FAILED, REJECTED)
PHASES: Final = (*OPEN, *ENDED)
MOST_NOTE: Final = 500


class IllegalMove(Exception):
    """A release cannot go that way from where it stands; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a release.

    Attributes:
        weight: Share of the subjects, or for a rolling release of the replicas, that the candidate gets, in [0, 1].
        seconds: How long it lasts at least; infinite where only a person ends it.
        minimum: Requests that the candidate must have answered before it may pass.
    """

    weight: float
    seconds: float
    minimum: int


@dataclass(frozen=True, slots=True)
class Release:
    """A release as it stands.

    Attributes:
        identity: 32 hex digits.
        endpoint: Whose traffic it is about, such as ``faces``.
        model: Name of the registered model.
        strategy: One of `STRATEGIES`.
        candidate: Version that is to be released.
        candidate_digest: SHA-256 of its bundle's manifest, hex.
        baseline: Version that is champion when the release is asked for.
        baseline_digest: Digest of its bundle.
        steps: What it goes through before it is promoted.
        risk: ``low``, ``medium`` or ``high``.
        requested_by: Who asked for it.
        reason: Why, in his words.
        created: Seconds since the epoch, as the next two.
        updated: When it last moved.
        phase: One of `PHASES`.
        policy: Defaults of the endpoint that are others for the candidate.
        baseline_policy: Those that the champion has from the release that made it one.
        step: Index of the step; as many as there are steps once the candidate is promoted.
        step_started: When the step began, or the promotion, once it has.
        generation: How often it has moved.
        note: What it waits for, or why it ended.
    """

    identity: str
    endpoint: str
    model: str
    strategy: str
    candidate: str
    candidate_digest: str
    baseline: str
    baseline_digest: str
    steps: tuple[Step, ...]
    risk: str
    requested_by: str
    reason: str
    created: float
    updated: float
    phase: str = QUEUED
    policy: Mapping[str, Any] = field(default_factory=dict)
    baseline_policy: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    step_started: float | None = None
    generation: int = 0
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.phase in OPEN

    @property
    def is_active(self) -> bool:
        """Whether it has its endpoint's split to itself."""
        return self.phase in ACTIVE

    @property
    def is_promoted(self) -> bool:
        """Whether the candidate was made champion, or is being made so."""
        return self.step >= len(self.steps)

    @property
    def current_step(self) -> Step | None:
        """The step it is in; None once it is promoted."""
        return None if self.is_promoted else self.steps[self.step]


def approve(release: Release, now: float) -> Release:
    """Let it begin: as many people as its risk asks for have approved."""
    return _moved(release, "be approved", (PENDING_APPROVAL,), QUEUED, now, "")


def reject(release: Release, now: float, why: str) -> Release:
    """End it before it began: somebody said no, or nobody said yes in time."""
    return _moved(release, "be rejected", (PENDING_APPROVAL,), REJECTED, now, why)


def prepare(release: Release, now: float) -> Release:
    """Begin: the endpoint is its own, and its bundle is to be brought."""
    return replace(_moved(release, "begin", (QUEUED,), PREPARING, now, ""), step_started=now)


def start(release: Release, now: float) -> Release:
    """Begin its first step: the candidate's bundle is on disk."""
    return replace(_moved(release, "start", (PREPARING,), RUNNING, now, ""), step=0, step_started=now)


def advance(release: Release, now: float, why: str = "") -> Release:
    """Go on to the next step, or after the last one be promoted; a shadow, which is never promoted, succeeds."""
    if release.is_promoted or release.step + 1 >= len(release.steps):
        return _after_last(release, now, why)
    moved = _moved(release, "go on", (RUNNING,), RUNNING, now, why)
    return replace(moved, step=release.step + 1, step_started=now)


def promote_full(release: Release, now: float, why: str = "") -> Release:
    """Make the candidate champion whatever steps are left."""
    if release.strategy == SHADOW:
        raise IllegalMove("a shadow is never promoted: start a release of its version that answers")
    moved = _moved(release, "be promoted", (RUNNING, PAUSED), PROMOTING, now, why)
    return replace(moved, step=len(release.steps), step_started=now)


def succeed(release: Release, now: float, why: str = "") -> Release:
    """End well: the candidate is champion."""
    return _moved(release, "succeed", (PROMOTING,), SUCCEEDED, now, why or release.note)


def pause(release: Release, now: float, why: str = "") -> Release:
    """Stay at the step whatever its figures; the guard goes on watching."""
    return _moved(release, "be paused", (RUNNING,), PAUSED, now, why)


def resume(release: Release, now: float, why: str = "") -> Release:
    """Go on after a pause, with the step begun anew."""
    return replace(_moved(release, "be resumed", (PAUSED,), RUNNING, now, why), step_started=now)


def abort(release: Release, now: float, why: str) -> Release:
    """End it on a person's word: at once where the candidate has had no traffic, else by rolling back."""
    if release.phase in (*WAITING, PREPARING):
        return _moved(release, "be aborted", (*WAITING, PREPARING), ABORTED, now, why)
    return _moved(release, "be aborted", LIVE, ROLLING_BACK, now, why)


def roll_back(release: Release, now: float, why: str) -> Release:
    """Give the baseline everything again, also after the release succeeded."""
    if release.phase == SUCCEEDED and not release.is_promoted:
        raise IllegalMove("the release promoted nothing, so there is nothing to take back")
    return _moved(release, "be rolled back", (*LIVE, SUCCEEDED), ROLLING_BACK, now, why)


def rolled_back(release: Release, now: float) -> Release:
    """End after the baseline has everything again; the reason stays."""
    return _moved(release, "end its rollback", (ROLLING_BACK,), ROLLED_BACK, now, release.note)


def fail(release: Release, now: float, why: str) -> Release:
    """End since it cannot go on, such as for want of a bundle, and leave the champion as it is."""
    return _moved(release, "fail", (QUEUED, PREPARING, RUNNING, PAUSED), FAILED, now, why)


def noted(release: Release, note: str) -> Release:
    """Say what it waits for: nothing moves, the generation stays."""
    return replace(release, note=note[:MOST_NOTE])


def _after_last(release: Release, now: float, why: str) -> Release:
    if release.strategy == SHADOW:
        return _moved(release, "end", (RUNNING,), SUCCEEDED, now, why or "the shadow did well; nothing was promoted")
    moved = _moved(release, "go on", (RUNNING,), PROMOTING, now, why)
    return replace(moved, step=len(release.steps), step_started=now)


def _moved(release: Release, what: str, legal: tuple[str, ...], phase: str, now: float, note: str) -> Release:
    if release.phase not in legal:
        raise IllegalMove(f"a release that is {release.phase.replace('_', ' ')} cannot {what}")
    generation = release.generation + 1
    return replace(release, phase=phase, updated=now, note=note[:MOST_NOTE], generation=generation)
