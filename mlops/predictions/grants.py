"""Who granted that raw input is captured, for which endpoint, why and until when; each in the audit log as well."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from mlops.audit import TABLES, AuditLog
from mlops.database import Database
from mlops.predictions.settings import CaptureSettings

GRANTS: Final = sa.Table(
    "capture_grants",
    TABLES,
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("granted_by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("granted", sa.Double, nullable=False),
    sa.Column("ends", sa.Double, nullable=False, index=True),
    sa.Column("revoked", sa.Double),
)


class NotGranted(Exception):
    """Whoever asks may not grant it, or not for so long; the text says which."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant.

    Attributes:
        identity: 32 hex digits.
        endpoint: Whose raw input is captured.
        granted_by: Who said so.
        reason: Why.
        granted: When, in seconds since the epoch.
        ends: When it ends.
        revoked: When it was taken back; None if it was not.
    """

    identity: str
    endpoint: str
    granted_by: str
    reason: str
    granted: float
    ends: float
    revoked: float | None


def check(actor: str, seconds: float, settings: CaptureSettings) -> None:
    """Raise NotGranted unless somebody may grant for so long."""
    if actor not in settings.raw_granters:
        raise NotGranted("the setting capture.raw_granters names who may grant it")
    if not 0 < seconds <= settings.raw_most_seconds:
        raise NotGranted(f"a grant lasts {settings.raw_most_seconds} seconds at most (capture.raw_most_seconds)")


@dataclass(frozen=True, slots=True)
class GrantStore:
    """The grants. Every method raises `mlops.database.DatabaseAway` where the database does not answer.

    Attributes:
        database: The platform's, made with `mlops.audit.TABLES`.
        clock: Seconds since the epoch.
    """

    database: Database
    clock: Callable[[], float] = time.time

    def grant(self, endpoint: str, actor: str, reason: str, seconds: float) -> Grant:
        """Keep a grant that was checked, with its entry in the audit log."""
        now = self.clock()
        made = Grant(secrets.token_hex(16), endpoint, actor, reason, now, now + seconds, None)
        with self.database.transaction() as connection:
            connection.execute(sa.insert(GRANTS).values({name: getattr(made, name) for name in Grant.__slots__}))
            details = {"endpoint": endpoint, "reason": reason, "ends": made.ends}
            self._log().append(actor, "capture.grant", made.identity, details, connection)
        return made

    def revoke(self, identity: str, actor: str) -> bool:
        """Take a grant back; False if there is none of that name that still holds."""
        now = self.clock()
        held = sa.update(GRANTS).where(GRANTS.c.identity == identity, GRANTS.c.revoked.is_(None), GRANTS.c.ends > now)
        with self.database.transaction() as connection:
            if not connection.execute(held.values(revoked=now)).rowcount:
                return False
            self._log().append(actor, "capture.revoke", identity, None, connection)
            return True

    def newest(self, most: int = 100) -> list[Grant]:
        """Return so many of the newest grants, newest first."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(GRANTS).order_by(GRANTS.c.granted.desc()).limit(most))
            return [Grant(*row) for row in rows]

    def ends(self) -> dict[str, float]:
        """Return when the grant of each endpoint that has one ends."""
        held = sa.select(GRANTS.c.endpoint, sa.func.max(GRANTS.c.ends)).where(
            GRANTS.c.revoked.is_(None), GRANTS.c.ends > self.clock()
        )
        with self.database.reading() as connection:
            return {endpoint: float(end) for endpoint, end in connection.execute(held.group_by(GRANTS.c.endpoint))}

    def _log(self) -> AuditLog:
        return AuditLog(self.database, self.clock)
