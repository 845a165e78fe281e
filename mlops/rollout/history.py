"""What became of the releases that there were: read within a transaction that somebody else has opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from mlops.rollout.approvals import APPROVED
from mlops.rollout.state import ABORTED, PREPARING, REJECTED, ROLLED_BACK, SUCCEEDED, WAITING, Release
from mlops.rollout.table import APPROVALS, COLUMNS, RELEASES, AliasOperation, approval_of, release_of
from mlops.rollout.traffic import CHALLENGER

_UNTRIED: Final = (*WAITING, PREPARING, ABORTED, REJECTED)
"""Phases of releases that have not begun, or ended before they did."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What an endpoint has from its last release: a version and the policy that came with it."""

    version: str
    digest: str
    policy: Mapping[str, Any]


def standing(connection: sa.Connection, endpoint: str) -> Standing | None:
    """Return what the endpoint has from its last release; None where it had none."""
    ended = (RELEASES.c.endpoint == endpoint, RELEASES.c.phase.in_((SUCCEEDED, ROLLED_BACK)))
    newest = sa.select(*COLUMNS).where(*ended).order_by(RELEASES.c.updated.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    if row is None:
        return None
    release = release_of(row)
    if release.phase == SUCCEEDED and release.is_promoted:
        return Standing(release.candidate, release.candidate_digest, release.policy)
    return Standing(release.baseline, release.baseline_digest, release.baseline_policy)


def is_last(connection: sa.Connection, release: Release) -> bool:
    """Whether the endpoint's last release left this one's candidate with all of the traffic."""
    left = standing(connection, release.endpoint)
    return left is not None and (left.version, left.digest) == (release.candidate, release.candidate_digest)


def stays(connection: sa.Connection, operation: AliasOperation, named: str) -> bool:
    """Whether an alias that waits leaves the registry's as it is: it names a version that waits for its own release."""
    is_another = operation.alias == CHALLENGER and named != operation.version
    return is_another and not was_tried(connection, operation.model, named)


def was_tried(connection: sa.Connection, model: str, version: str) -> bool:
    """Whether a release of a version ever began its first step, or failed."""
    of = RELEASES.c.model == model, RELEASES.c.candidate == version, RELEASES.c.phase.not_in(_UNTRIED)
    return connection.execute(sa.select(RELEASES.c.identity).where(*of).limit(1)).first() is not None


def approvals(
    connection: sa.Connection, endpoint: str, candidate: tuple[str, str], policy: Mapping[str, Any], now: float
) -> int:
    """Return how many people approved of a release of a version with a policy, the most of all that were approved."""
    version, digest = candidate
    of = RELEASES.c.endpoint == endpoint, RELEASES.c.candidate == version, RELEASES.c.candidate_digest == digest
    found = connection.execute(sa.select(RELEASES.c.identity, RELEASES.c.policy).where(*of))
    same = [row.identity for row in found if row.policy == policy]
    asked = connection.execute(sa.select(APPROVALS).where(APPROVALS.c.release.in_(same)))
    return max((len(each.votes) for each in map(approval_of, asked) if each.state(now) == APPROVED), default=0)


def endpoints(connection: sa.Connection) -> Sequence[tuple[str, str]]:
    """Return endpoint and model of every release that there ever was, each pair once.

    A model that has an endpoint of another name has none of its own: of old there were releases of such, and two
    endpoints would undo each other's files.
    """
    asked = sa.select(RELEASES.c.endpoint, RELEASES.c.model).distinct()
    pairs = [(row.endpoint, row.model) for row in connection.execute(asked)]
    behind = {model for endpoint, model in pairs if endpoint != model}
    return [(endpoint, model) for endpoint, model in pairs if endpoint != model or model not in behind]
