"""What becomes of a release: pure. Facts in, the release as it is to be out; whoever asked carries it out."""

from dataclasses import dataclass
from math import isinf

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
    prepare,
    roll_back,
    rolled_back,
    start,
    succeed,
)


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


def decide(release: Release, facts: Facts, prepare_seconds: float, now: float) -> Release:
    """Return the release after its next move, or with a note that says what it waits for.

    Args:
        release: As it stands; one that has ended, or waits for people, stays as it is.
        facts: Its surroundings.
        prepare_seconds: Longest time for its bundle to arrive.
        now: Seconds since the epoch.
    """
    if not release.is_open or release.phase == PENDING_APPROVAL:
        return release
    if (strange := _strange_champion(release, facts)) is not None:
        return fail(release, now, strange)
    if release.phase in LIVE and (fault := _fault(facts)):
        return roll_back(release, now, f"the guard: {fault}")
    return _next(release, facts, prepare_seconds, now)


def is_due(release: Release, now: float) -> bool:
    """Whether its step has lasted as long as it is to last at least."""
    step = release.current_step
    return step is not None and release.step_started is not None and now >= release.step_started + step.seconds


def _next(release: Release, facts: Facts, prepare_seconds: float, now: float) -> Release:
    if release.phase == QUEUED:
        return prepare(release, now)
    if release.phase == PREPARING:
        return _prepared(release, facts, prepare_seconds, now)
    if release.phase == RUNNING:
        return _run(release, facts, now)
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


def _run(release: Release, facts: Facts, now: float) -> Release:
    step = release.current_step
    if facts.step is not None and facts.step.outcome == PASS:
        return advance(release, now)
    if facts.step is not None:
        return noted(release, f"holds: {'; '.join(facts.step.reasons)}")
    if step is not None and isinf(step.seconds):
        return noted(release, "goes on until somebody promotes or aborts it")
    return noted(release, "" if facts.recent is None else "; ".join(facts.recent.reasons))


def _candidate(release: Release) -> tuple[str, str]:
    return release.candidate, release.candidate_digest


def _baseline(release: Release) -> tuple[str, str]:
    return release.baseline, release.baseline_digest
