"""Who may let a release begin: pure. By its risk so many people approve, none of them his own, each with a reason."""

from dataclasses import dataclass, replace
from typing import Final

from mlops.rollout.settings import RolloutSettings

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"


class NotAllowed(Exception):
    """This person cannot decide this; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said.

    Attributes:
        actor: Who.
        approves: Whether he approves.
        reason: Why.
        time: Seconds since the epoch.
    """

    actor: str
    approves: bool
    reason: str
    time: float


@dataclass(frozen=True, slots=True)
class Approval:
    """What is asked of people before a release begins.

    Attributes:
        identity: 32 hex digits.
        release: Identity of the release.
        needed: How many must approve.
        requested_by: Who asked for the release, and therefore has no vote.
        reason: Why he did.
        created: Seconds since the epoch.
        expires: When it is void.
        votes: What was said so far.
    """

    identity: str
    release: str
    needed: int
    requested_by: str
    reason: str
    created: float
    expires: float
    votes: tuple[Vote, ...] = ()

    def state(self, now: float) -> str:
        """Return ``pending``, ``approved``, ``rejected`` or ``expired``; one rejection is enough."""
        if any(not vote.approves for vote in self.votes):
            return REJECTED
        if len(self.votes) >= self.needed:
            return APPROVED
        return EXPIRED if now >= self.expires else PENDING


def needed(risk: str, settings: RolloutSettings) -> int:
    """Return how many people must approve of a release of that risk.

    Raises:
        KeyError: There is no such risk.
    """
    by_risk = {
        "low": settings.approvals_low,
        "medium": settings.approvals_medium,
        "high": settings.approvals_high,
    }
    return by_risk[risk]


def vote(approval: Approval, actor: str, approves: bool, reason: str, now: float) -> Approval:
    """Return the approval with one more vote.

    Raises:
        NotAllowed: It is his own release, he has voted, gives no reason, or it is decided or void.
    """
    if (state := approval.state(now)) != PENDING:
        raise NotAllowed(f"the request for approval is {state}")
    if not reason.strip():
        raise NotAllowed("a decision needs a reason")
    if not _person(actor):
        raise NotAllowed("a decision needs a name")
    if _person(actor) == _person(approval.requested_by):
        raise NotAllowed("nobody decides on his own release")
    if any(_person(each.actor) == _person(actor) for each in approval.votes):
        raise NotAllowed(f"{actor} has decided already")
    return replace(approval, votes=(*approval.votes, Vote(actor, approves, reason.strip(), now)))


def _person(actor: str) -> str:
    """Give a name as it is compared: the same person must not pass for two by its capitals or by blanks."""
    return actor.strip().casefold()
