"""What becomes of a release: pure. Facts in, the release as it is to be out; whoever asked carries it out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isinf
from typing import Final

from mlops.rollout.guard import FAIL, PASS, GuardVerdict
from mlops.rollout.state import (
    LIVE,
    PENDING_APPROVAL,
    PREPARING,
    PROMOTING,
    QUEUED,
    ROLLING_BACK,
    RUNNING,
    Release,
    advance,
    fail,
    noted,
    pause,
    prepare,
    roll_back,
    rolled_back,
    start,
    succeed,
)

ROLL_BACK: Final = "rollback"
PAUSE: Final = "pause"
LATEST: Final = 4e9
"""Seconds since the epoch beyond which a time is not told: a hold that ends in another century has no end."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a release's surroundings.

    Attributes:
        champion: Version and digest that the local pointer names; None for none.
        on_disk: Whether the candidate's bundle lies on disk, every file of it verified.
        refused: Why it cannot be brought; empty for no such reason.
        recent: What the guard says of the last while; None where it was not asked.
        step: What it says of the whole step, once that has lasted long enough; None before.
    """

    champion: tuple[str, str] | None
    on_disk: bool = False
    refused: str = ""
    recent: GuardVerdict | None = None
    step: GuardVerdict | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a release waits for what may never come.

    Attributes:
        prepare_seconds: Longest time for its bundle to arrive; then it has failed.
        hold_seconds: Longest time that a step holds after it was due.
        hold_ends: What then becomes of it: `ROLL_BACK` or `PAUSE`.
    """

    prepare_seconds: float
    hold_seconds: float
    hold_ends: str = ROLL_BACK


def decide(release: Release, facts: Facts, bounds: Bounds, now: float) -> Release:
    """Return the release after its next move, or with a note that says what it waits for.

    Args:
        release: As it stands; one that has ended, or waits for people, stays as it is.
        facts: Its surroundings.
        bounds: How long it waits.
        now: Seconds since the epoch.
    """
    if not release.is_open or release.phase == PENDING_APPROVAL:
        return release
    if (strange := _strange_champion(release, facts)) is not None:
        return fail(release, now, strange)
    if release.phase in LIVE and (fault := _fault(facts)):
        return roll_back(release, now, f"the guard: {fault}")
    return _next(release, facts, bounds, now)


def due(release: Release) -> float:
    """Return when its step has lasted as long as it is to last at least; infinite for never."""
    step = release.current_step
    return inf if step is None or release.step_started is None else release.step_started + step.seconds


def is_due(release: Release, now: float) -> bool:
    """Whether its step has lasted as long as it is to last at least."""
    return now >= due(release)


def overdue(release: Release, now: float) -> float:
    """Return the seconds that it has stayed at its step beyond those that the step lasts at least; 0 where it moves."""
    if release.phase != RUNNING or not is_due(release, now):
        return 0.0
    step, started = release.current_step, release.step_started
    return 0.0 if step is None or started is None else now - started - step.seconds


def _next(release: Release, facts: Facts, bounds: Bounds, now: float) -> Release:
    if release.phase == QUEUED:
        return prepare(release, now)
    if release.phase == PREPARING:
        return _prepared(release, facts, bounds.prepare_seconds, now)
    if release.phase == RUNNING:
        return _run(release, facts, bounds, now)
    if release.phase == PROMOTING and facts.champion == _candidate(release):
        return succeed(release, now)
    if release.phase == ROLLING_BACK and facts.champion == _baseline(release):
        return rolled_back(release, now)
    return release


def _strange_champion(release: Release, facts: Facts) -> str | None:
    if release.phase in (PROMOTING, ROLLING_BACK) or facts.champion == _baseline(release):
        return None
    named = "there is no champion" if facts.champion is None else f"version {facts.champion[0]} is champion"
    return f"{named}, and not version {release.baseline} that the release was asked for against"


def _fault(facts: Facts) -> str:
    verdicts = [each for each in (facts.recent, facts.step) if each is not None and each.outcome == FAIL]
    return "; ".join(verdicts[0].reasons) if verdicts else ""


def _prepared(release: Release, facts: Facts, prepare_seconds: float, now: float) -> Release:
    if facts.on_disk:
        return start(release, now)
    if facts.refused:
        return fail(release, now, f"version {release.candidate} cannot be brought: {facts.refused}")
    if release.step_started is None or now - release.step_started > prepare_seconds:
        return fail(release, now, f"version {release.candidate} was not brought within {prepare_seconds:.0f} s")
    return noted(release, f"waits for the bundle of version {release.candidate}")


def _run(release: Release, facts: Facts, bounds: Bounds, now: float) -> Release:
    step = release.current_step
    if facts.step is not None and facts.step.outcome == PASS:
        return advance(release, now)
    if facts.step is not None:
        return _held(release, "; ".join(facts.step.reasons), bounds, now)
    if step is not None and isinf(step.seconds):
        return noted(release, "goes on until somebody promotes or aborts it")
    return noted(release, "" if facts.recent is None else "; ".join(facts.recent.reasons))


def _held(release: Release, reasons: str, bounds: Bounds, now: float) -> Release:
    """Have a due step wait for figures, and say until when; what nobody can judge by then is not believed in."""
    end = due(release) + bounds.hold_seconds
    if now < end:
        # The end comes first: a note has only so much room.
        return noted(release, f"holds{_until(end, bounds)}: {reasons}")
    why = f"held for {bounds.hold_seconds:.0f} s: {reasons}"
    return roll_back(release, now, why) if bounds.hold_ends == ROLL_BACK else pause(release, now, why)


def _until(end: float, bounds: Bounds) -> str:
    """Say until when a step holds, and what then; nothing where nobody lives to see it."""
    if end >= LATEST:
        return ""
    then = "rolled back" if bounds.hold_ends == ROLL_BACK else "paused"
    return f" until {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC, then it is {then}"


def _candidate(release: Release) -> tuple[str, str]:
    return release.candidate, release.candidate_digest


def _baseline(release: Release) -> tuple[str, str]:
    return release.baseline, release.baseline_digest
