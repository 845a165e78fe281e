"""What became of the releases that there were: read within a transaction that somebody else has opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from mlops.rollout.state import ABORTED, PREPARING, REJECTED, ROLLED_BACK, SUCCEEDED, WAITING, Release
from mlops.rollout.table import COLUMNS, RELEASES, release_of

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


def was_tried(connection: sa.Connection, model: str, version: str) -> bool:
    """Whether a release of a version ever began its first step, or failed."""
    of = RELEASES.c.model == model, RELEASES.c.candidate == version, RELEASES.c.phase.not_in(_UNTRIED)
    return connection.execute(sa.select(RELEASES.c.identity).where(*of).limit(1)).first() is not None


def endpoints(connection: sa.Connection) -> Sequence[tuple[str, str]]:
    """Return endpoint and model of every release that there ever was, each pair once."""
    asked = sa.select(RELEASES.c.endpoint, RELEASES.c.model).distinct()
    return [(row.endpoint, row.model) for row in connection.execute(asked)]
