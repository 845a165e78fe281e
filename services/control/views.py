"""What is told of releases, approvals and the audit log."""

from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, Field

from mlops.audit import Entry
from mlops.rollout.approvals import Approval
from mlops.rollout.state import PHASES, STRATEGIES, Release, Step

WORDS: Final = 500
# PostgreSQL takes no text with a zero in it.
WORDS_PATTERN: Final = r"^[^\x00]*[^\s\x00][^\x00]*$"
Reason = Annotated[
    str, Field(min_length=1, max_length=WORDS, pattern=WORDS_PATTERN, description="Why; the audit log has it.")
]

OF_WHAT: Final = "of the traffic, in a rolling release of the replicas and rounded up to whole ones,"


class StepView(BaseModel):
    """One step of a release."""

    weight: float = Field(ge=0, le=1, description=f"Share {OF_WHAT} that the candidate gets.")
    seconds: float | None = Field(ge=0, description="How long it lasts at least; null until a person ends it.")
    minimum: int = Field(ge=1, description="Requests that the candidate must have answered before it may pass.")

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return what is told of a step."""
        return cls(weight=step.weight, seconds=step.seconds if isfinite(step.seconds) else None, minimum=step.minimum)


class ReleaseView(BaseModel):
    """A release as it stands."""

    id: str
    endpoint: str
    model: str
    strategy: str = Field(json_schema_extra={"enum": list(STRATEGIES)})
    version: str = Field(description="The candidate.")
    digest: str = Field(description="SHA-256 of the manifest of its bundle.")
    baseline: str = Field(description="The version that was champion when the release was asked for.")
    phase: str = Field(json_schema_extra={"enum": list(PHASES)})
    step: int = Field(description="Index of the step; as many as there are steps once the candidate is promoted.")
    steps: list[StepView]
    step_started: datetime | None
    weight: float = Field(description=f"Share {OF_WHAT} that it has in this phase and step.")
    policy: dict[str, Any] = Field(description="Defaults of the endpoint that are others for the candidate.")
    risk: str
    requested_by: str
    reason: str
    note: str = Field(description="What it waits for, or why it ended.")
    created: datetime
    updated: datetime

    @classmethod
    def of(cls, release: Release) -> Self:
        """Return what is told of a release."""
        return cls(
            id=release.identity,
            endpoint=release.endpoint,
            model=release.model,
            strategy=release.strategy,
            version=release.candidate,
            digest=release.candidate_digest,
            baseline=release.baseline,
            phase=release.phase,
            step=release.step,
            steps=[StepView.of(step) for step in release.steps],
            step_started=time_of(release.step_started),
            weight=_weight(release),
            policy=dict(release.policy),
            risk=release.risk,
            requested_by=release.requested_by,
            reason=release.reason,
            note=release.note,
            created=datetime.fromtimestamp(release.created, UTC),
            updated=datetime.fromtimestamp(release.updated, UTC),
        )


class ReleaseList(BaseModel):
    """The newest releases, newest first."""

    releases: list[ReleaseView]


class VoteView(BaseModel):
    """What one person said."""

    actor: str
    approves: bool
    reason: str
    time: datetime


class ApprovalView(BaseModel):
    """What is asked of people before a release begins."""

    id: str
    release: str
    state: str = Field(json_schema_extra={"enum": ["pending", "approved", "rejected", "expired"]})
    needed: int = Field(description="How many people must approve.")
    requested_by: str = Field(description="Who asked for the release, and therefore has no vote.")
    reason: str
    created: datetime
    expires: datetime
    votes: list[VoteView]

    @classmethod
    def of(cls, approval: Approval, now: float) -> Self:
        """Return what is told of a request for approval."""
        votes = [
            VoteView(
                actor=vote.actor,
                approves=vote.approves,
                reason=vote.reason,
                time=datetime.fromtimestamp(vote.time, UTC),
            )
            for vote in approval.votes
        ]
        return cls(
            id=approval.identity,
            release=approval.release,
            state=approval.state(now),
            needed=approval.needed,
            requested_by=approval.requested_by,
            reason=approval.reason,
            created=datetime.fromtimestamp(approval.created, UTC),
            expires=datetime.fromtimestamp(approval.expires, UTC),
            votes=votes,
        )


class ApprovalList(BaseModel):
    """The newest requests for approval, newest first."""

    approvals: list[ApprovalView]


class EntryView(BaseModel):
    """One thing that somebody did."""

    sequence: int
    time: datetime | None = Field(description="Null where what the database holds is no time.")
    actor: str
    action: str
    subject: str = Field(description="What it was done to, such as the id of a release.")
    details: dict[str, Any]
    digest: str = Field(description="SHA-256 of the entry and of the digest before it.")
    damaged: bool = Field(
        description="Whether somebody has put into it what is never written here; it is told as well as it can be. "
        "What was changed otherwise `GET /v1/audit/verify` finds."
    )

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return what is told of an entry."""
        return cls(
            sequence=entry.sequence,
            time=time_of(entry.time),
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            details=dict(entry.details),
            digest=entry.digest,
            damaged=entry.damaged,
        )


class EntryList(BaseModel):
    """Entries of the audit log, newest first."""

    entries: list[EntryView]


class Verdict(BaseModel):
    """Whether the audit log is as it was written."""

    whole: bool
    broken: int | None = Field(description="Sequence of the first entry that breaks the chain; null where none does.")
    newest: str | None = Field(description="Digest of the newest entry: note it elsewhere, and its loss shows, too.")


def time_of(seconds: float | None) -> datetime | None:
    """Return a time as it is told."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _weight(release: Release) -> float:
    """Give the share that the candidate has: all of it once it is champion, nothing while or after it is taken back."""
    step = release.current_step
    if release.phase in ("promoting", "succeeded") and step is None:
        return 1.0
    return step.weight if step is not None and release.phase in ("running", "paused") else 0.0
