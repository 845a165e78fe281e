"""Releases in the database: every move is one conditional update, with its audit entry and what follows from it.

Together with the move, in one transaction: the claim on the endpoint's split, which one release or experiment has at a
time, and the aliases that the registry is to have. Nothing here talks to the registry or to files.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from mlops.audit import AuditLog
from mlops.database import Database
from mlops.rollout import claims, history
from mlops.rollout.aliases import wishes
from mlops.rollout.approvals import APPROVED, EXPIRED, REJECTED, Approval, vote
from mlops.rollout.state import (
    ABORTED,
    ACTIVE,
    OPEN,
    PENDING_APPROVAL,
    SUCCEEDED,
    IllegalMove,
    Release,
    approve,
    noted,
    reject,
)
from mlops.rollout.table import (
    APPROVALS,
    CLAIMS,
    COLUMNS,
    RELEASES,
    AliasOperation,
    approval_of,
    approval_row,
    release_of,
    row_of,
)

LOOP: Final = "release-loop"
"""Who acts where no person does."""
_ID_BYTES: Final = 16


def new_identity() -> str:
    """Return a new identity, 32 hex digits."""
    return secrets.token_hex(_ID_BYTES)


class Conflict(Exception):
    """The release was moved by somebody else in between; look again."""


class Unknown(LookupError):
    """There is no such release or request for approval."""


@dataclass(frozen=True, slots=True)
class ReleaseStore:
    """The releases of the platform. Every method raises `mlops.database.DatabaseAway` where it does not answer.

    Attributes:
        database: Where they are; made with `mlops.rollout.table.TABLES`.
        clock: Seconds since the epoch.
    """

    database: Database
    clock: Callable[[], float] = time.time

    def create(
        self, release: Release, needed: int = 0, approval_seconds: float = 0.0
    ) -> tuple[Release, Approval | None]:
        """Add a release; where people are needed it waits for them, else it is queued.

        Args:
            release: As `mlops.rollout.strategies.plan` makes it.
            needed: How many people must approve.
            approval_seconds: After how long their approval is void.
        """
        now = self.clock()
        with self.database.transaction() as connection:
            left = history.standing(connection, release.endpoint)
            if left and (left.version, left.digest) == (release.baseline, release.baseline_digest):
                release = replace(release, baseline_policy=left.policy)
            approval = None
            if needed:
                release = replace(release, phase=PENDING_APPROVAL)
                approval = Approval(
                    new_identity(),
                    release.identity,
                    needed,
                    release.requested_by,
                    release.reason,
                    now,
                    now + approval_seconds,
                )
                connection.execute(sa.insert(APPROVALS).values(approval_row(approval)))
            connection.execute(sa.insert(RELEASES).values(row_of(release)))
            told = {name: value for name, value in row_of(release).items() if name in _TOLD} | {"needed": needed}
            self._audit(connection, release.requested_by, "release.create", release.identity, told)
        return release, approval

    def get(self, identity: str) -> Release | None:
        """Return a release; None if there is none of that name."""
        with self.database.reading() as connection:
            return _get(connection, identity)

    def list(self, endpoint: str | None = None, most: int = 100) -> Sequence[Release]:
        """Return so many of the newest releases, newest first."""
        asked = sa.select(*COLUMNS).order_by(RELEASES.c.created.desc(), RELEASES.c.identity).limit(most)
        asked = asked if endpoint is None else asked.where(RELEASES.c.endpoint == endpoint)
        with self.database.reading() as connection:
            return [release_of(row) for row in connection.execute(asked)]

    def open(self) -> Sequence[Release]:
        """Return the releases that have not ended, those first that have their endpoint, then the oldest."""
        asked = sa.select(*COLUMNS).where(RELEASES.c.phase.in_(OPEN)).order_by(RELEASES.c.created, RELEASES.c.identity)
        with self.database.reading() as connection:
            found = [release_of(row) for row in connection.execute(asked)]
        return sorted(found, key=lambda each: not each.is_active)

    def active(self, endpoint: str) -> Release | None:
        """Return the release that has the endpoint's split; None if none has."""
        asked = sa.select(*COLUMNS).where(RELEASES.c.endpoint == endpoint, RELEASES.c.phase.in_(ACTIVE))
        with self.database.reading() as connection:
            row = connection.execute(asked).first()
        return None if row is None else release_of(row)

    def act(
        self, identity: str, actor: str, action: str, step: Callable[[Release, float], Release], reason: str = ""
    ) -> Release:
        """Move a release as it stands now.

        Args:
            identity: Which.
            actor: Who moves it.
            action: Last part of the name in the audit log, such as ``pause``.
            step: The move, one of `mlops.rollout.state`, given the release and the time.
            reason: Why, for the audit log.

        Raises:
            Unknown: There is no such release.
            IllegalMove: It cannot go that way.
        """
        with self.database.transaction() as connection:
            before = _get(connection, identity)
            if before is None:
                raise Unknown(f"there is no release {identity}")
            return self._write(connection, before, step(before, self.clock()), actor, action, reason)

    def move(self, before: Release, after: Release, actor: str, action: str, reason: str = "") -> Release:
        """Put a move in place that was decided on ``before``.

        Raises:
            Conflict: It stands elsewhere by now.
            IllegalMove: Its endpoint is somebody else's.
        """
        with self.database.transaction() as connection:
            return self._write(connection, before, after, actor, action, reason)

    def note(self, release: Release, note: str) -> Release:
        """Say what a release waits for; nothing else changes."""
        after = noted(release, note)
        if after.note != release.note:
            stands = _stands(release)
            with self.database.transaction() as connection:
                connection.execute(sa.update(RELEASES).where(*stands).values(note=after.note))
        return after

    def standing(self, endpoint: str) -> history.Standing | None:
        """Return the version and policy that the endpoint has from its last release; None where it had none."""
        with self.database.reading() as connection:
            return history.standing(connection, endpoint)

    def endpoints(self) -> Sequence[tuple[str, str]]:
        """Return endpoint and model of every release that there ever was, each pair once."""
        with self.database.reading() as connection:
            return history.endpoints(connection)

    def stays(self, operation: AliasOperation, named: str) -> bool:
        """Say whether an alias that waits leaves the registry's as it is: on a version that waits for its own release.

        Args:
            operation: The alias that waits.
            named: The version that it has in the registry.
        """
        with self.database.reading() as connection:
            return history.stays(connection, operation, named)

    def approval(self, identity: str) -> Approval | None:
        """Return a request for approval, by its own identity or that of its release."""
        asked = sa.select(APPROVALS).where((APPROVALS.c.identity == identity) | (APPROVALS.c.release == identity))
        with self.database.reading() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else approval_of(row)

    def approved(self, endpoint: str, candidate: tuple[str, str], policy: Mapping[str, Any]) -> int:
        """Return how many people approved of a release of that version, by its digest, with that policy; 0 for none."""
        with self.database.reading() as connection:
            return history.approvals(connection, endpoint, candidate, policy, self.clock())

    def approvals(self, most: int = 100) -> Sequence[Approval]:
        """Return so many of the newest requests for approval, newest first, in whatever state."""
        asked = sa.select(APPROVALS).order_by(APPROVALS.c.created.desc(), APPROVALS.c.identity).limit(most)
        with self.database.reading() as connection:
            return [approval_of(row) for row in connection.execute(asked)]

    def vote(self, identity: str, actor: str, approves: bool, reason: str) -> Approval:
        """Take somebody's decision; with the last one that is needed the release is queued, or it is rejected.

        Raises:
            Unknown: There is no such request.
            mlops.rollout.approvals.NotAllowed: He cannot decide this.
            IllegalMove: The release waits for nobody any more.
        """
        now = self.clock()
        with self.database.transaction() as connection:
            # Of two who decide at once neither is to write over the other's vote.
            asked = sa.select(APPROVALS).where(APPROVALS.c.identity == identity).with_for_update()
            row = connection.execute(asked).one_or_none()
            if row is None:
                raise Unknown(f"there is no request for approval {identity}")
            after = vote(approval_of(row), actor, approves, reason, now)
            release = _get(connection, after.release)
            if release is None or release.phase != PENDING_APPROVAL:
                raise IllegalMove("the release does not wait for approval any more")
            values = {"votes": approval_row(after)["votes"]}
            connection.execute(sa.update(APPROVALS).where(APPROVALS.c.identity == identity).values(values))
            action = "approval.approve" if approves else "approval.reject"
            self._audit(connection, actor, action, identity, {"release": after.release, "reason": reason})
            if (state := after.state(now)) == APPROVED:
                self._write(connection, release, approve(release, now), actor, "approved", reason)
            elif state == REJECTED:
                self._write(connection, release, reject(release, now, f"{actor}: {reason}"), actor, "rejected", reason)
        return after

    def expire_approvals(self) -> None:
        """Reject the releases that nobody approved of in time."""
        now = self.clock()
        with self.database.reading() as connection:
            joined = sa.select(APPROVALS).join(RELEASES, RELEASES.c.identity == APPROVALS.c.release)
            rows = connection.execute(joined.where(RELEASES.c.phase == PENDING_APPROVAL)).all()
        late = [each.release for each in map(approval_of, rows) if each.state(now) == EXPIRED]
        for identity in late:
            # Whoever has moved it in between was quicker: it waits for nobody any more.
            with suppress(IllegalMove, Conflict):
                self.act(identity, LOOP, "expired", lambda each, at: reject(each, at, "nobody approved of it in time"))

    def claim(self, endpoint: str, model: str, holder: str, versions: Sequence[str]) -> bool:
        """Take an endpoint's split for oneself, or say anew which versions one needs on disk.

        Args:
            endpoint: Whose split.
            model: Its registered model.
            holder: Identity of a release or an experiment.
            versions: What must be on disk.

        Returns:
            Whether it is one's own; False where somebody else has it.
        """
        with self.database.transaction() as connection:
            return claims.claim(connection, endpoint, model, holder, versions)

    def free(self, endpoint: str, holder: str) -> None:
        """Give a split back; nothing happens where somebody else has it."""
        with self.database.transaction() as connection:
            claims.free(connection, endpoint, holder)

    def holder(self, endpoint: str) -> str | None:
        """Return who has the endpoint's split; None if nobody has."""
        with self.database.reading() as connection:
            return connection.execute(sa.select(CLAIMS.c.holder).where(CLAIMS.c.endpoint == endpoint)).scalar()

    def wanted(self) -> Sequence[tuple[str, str]]:
        """Return model and version of what claims need on disk."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(CLAIMS.c.model, CLAIMS.c.versions)).all()
        return sorted({(row.model, version) for row in rows for version in row.versions})

    def aliases_pending(self) -> Sequence[AliasOperation]:
        """Return the aliases that the registry does not have yet."""
        with self.database.reading() as connection:
            return claims.wishes_left(connection)

    def alias_done(self, operation: AliasOperation) -> None:
        """Forget an alias that the registry has; a newer wish for the same alias stays."""
        with self.database.transaction() as connection:
            claims.fulfilled(connection, operation)

    def may_point(self, model: str) -> bool:
        """Whether the registry's alias may move the local pointer: no split is held, and no such alias waits."""
        with self.database.reading() as connection:
            return claims.is_settled(connection, model)

    def _write(
        self, connection: sa.Connection, before: Release, after: Release, actor: str, action: str, reason: str
    ) -> Release:
        if before.phase == SUCCEEDED and not history.is_last(connection, before):
            raise IllegalMove("a later release has changed the champion since")
        if not connection.execute(sa.update(RELEASES).where(*_stands(before)).values(row_of(after))).rowcount:
            raise Conflict("the release was moved by somebody else")
        if before.phase == PENDING_APPROVAL and after.phase == ABORTED:
            # Nobody is asked any more.
            _void(connection, after.identity, self.clock())
        if after.is_active and not before.is_active:
            versions = sorted({after.candidate, after.baseline})
            if not claims.claim(connection, after.endpoint, after.model, after.identity, versions):
                raise IllegalMove(f"the traffic of {after.endpoint} is split by another release or experiment")
        elif before.is_active and not after.is_active:
            claims.free(connection, after.endpoint, after.identity)
        claims.wish(connection, after.model, wishes(before, after), self.clock())
        told = {"from": before.phase, "to": after.phase, "step": after.step, "reason": reason or after.note}
        self._audit(connection, actor, f"release.{action}", after.identity, told)
        return after

    def _audit(
        self, connection: sa.Connection, actor: str, action: str, subject: str, details: Mapping[str, Any]
    ) -> None:
        AuditLog(self.database, self.clock).append(actor, action, subject, details, connection)


_TOLD: Final = frozenset(
    ("endpoint", "model", "strategy", "candidate", "candidate_digest", "baseline", "steps", "risk", "reason", "policy")
)


def _stands(release: Release) -> tuple[sa.ColumnElement[bool], ...]:
    return RELEASES.c.identity == release.identity, RELEASES.c.generation == release.generation


def _void(connection: sa.Connection, release: str, now: float) -> None:
    late = APPROVALS.c.release == release, APPROVALS.c.expires > now
    connection.execute(sa.update(APPROVALS).where(*late).values(expires=now))


def _get(connection: sa.Connection, identity: str) -> Release | None:
    row = connection.execute(sa.select(*COLUMNS).where(RELEASES.c.identity == identity)).one_or_none()
    return None if row is None else release_of(row)
