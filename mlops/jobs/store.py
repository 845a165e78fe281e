"""Jobs in the database: every change of state is one conditional update, so two workers never own a job at once.

queued → running → succeeded | needs_review | failed        running → queued   the worker stops, or fell silent
queued | running → cancelled
"""

import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mlops.database import Database
from mlops.jobs.table import (
    BUCKETS,
    CANCELLED,
    COLUMNS,
    FAILED,
    JOBS,
    OPEN,
    QUEUED,
    RUNNING,
    TOTALS,
    Claim,
    Ending,
    Job,
)

MOST_LOST: Final = 3
AGAIN_LOST: Final = "started again from the beginning: the worker that did it was lost"
AGAIN_STOPPED: Final = "started again from the beginning after a restart"
GIVEN_UP: Final = {
    "type": "urn:identity-masking-stack:problem:worker-lost",
    "title": "The worker was lost each time that this was tried",
    "detail": f"after {MOST_LOST} attempts it is not tried again",
}
TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class JobStore:
    """The jobs of the platform. Every method raises `mlops.database.DatabaseAway` where the database does not answer.

    Attributes:
        database: Where they are.
        result_seconds: How long results are kept.
        clock: Seconds since the epoch.
    """

    database: Database
    result_seconds: float
    clock: Callable[[], float] = time.time

    def add(self, identity: str, kind: str, options: Mapping[str, Any]) -> Job:
        """Add a job that waits."""
        row = {"identity": identity, "kind": kind, "state": QUEUED, "options": dict(options), "created": self.clock()}
        with self.database.transaction() as connection:
            connection.execute(sa.insert(JOBS).values(row))
            return _one(connection, identity)

    def get(self, identity: str) -> Job | None:
        """Return a job; none if there is none of that name."""
        with self.database.transaction() as connection:
            row = connection.execute(sa.select(*COLUMNS).where(JOBS.c.identity == identity)).one_or_none()
        return None if row is None else Job(*row)

    def newest(self, most: int | None) -> list[Job]:
        """Return so many of the newest jobs, or all of them, newest first, without their reports."""
        columns = [sa.null().label("report") if column is JOBS.c.report else column for column in COLUMNS]
        order = sa.select(*columns).order_by(JOBS.c.created.desc(), JOBS.c.identity).limit(most)
        with self.database.transaction() as connection:
            return [Job(*row) for row in connection.execute(order)]

    def waiting(self) -> list[str]:
        """Return the names of the jobs that wait, oldest first."""
        order = sa.select(JOBS.c.identity).where(JOBS.c.state == QUEUED).order_by(JOBS.c.created)
        with self.database.transaction() as connection:
            return list(connection.execute(order).scalars())

    def claim(self, identity: str) -> Claim | None:
        """Begin an attempt at a job that waits; none if it does not wait (any more)."""
        token, now = secrets.token_hex(TOKEN_BYTES), self.clock()
        begun = {"state": RUNNING, "claim": token, "started": now, "beaten": now, "progress": 0.0}
        begin = sa.update(JOBS).where(JOBS.c.identity == identity, JOBS.c.state == QUEUED)
        with self.database.transaction() as connection:
            if not connection.execute(begin.values(**begun, attempts=JOBS.c.attempts + 1)).rowcount:
                return None
            return Claim(_one(connection, identity), token)

    def beat(self, claim: Claim, progress: float) -> bool:
        """Say that the work goes on; False if the claim is gone, and the work is to end."""
        beaten = sa.update(JOBS).where(*_held(claim)).values(beaten=self.clock(), progress=progress)
        with self.database.transaction() as connection:
            return bool(connection.execute(beaten).rowcount)

    def finish(self, claim: Claim, ending: Ending) -> bool:
        """End a job; False, and nothing changed, if the claim is gone."""
        now = self.clock()
        values: dict[str, Any] = {
            "state": ending.state,
            "report": ending.report,
            "result": ending.result,
            "media_type": ending.media_type,
            "error": ending.error,
            "ended": now,
            "expires": now + self.result_seconds if ending.result else None,
        }
        if ending.result:
            values["progress"] = 1.0
        with self.database.transaction() as connection:
            if not connection.execute(sa.update(JOBS).where(*_held(claim)).values(**values, claim=None)).rowcount:
                return False
            _count(connection, claim.job.kind, ending.state, now - (claim.job.started or now))
            return True

    def release(self, claim: Claim) -> None:
        """Put a job back that its worker cannot go on with since it stops."""
        values = {"state": QUEUED, "claim": None, "progress": 0.0, "note": AGAIN_STOPPED}
        with self.database.transaction() as connection:
            connection.execute(sa.update(JOBS).where(*_held(claim)).values(**values))

    def requeue_lost(self, lease_seconds: float) -> list[str]:
        """Put back the running jobs whose worker has been silent so long; returns their names.

        A job that lost its worker for the third time fails instead: it may be what kills them.
        """
        now = self.clock()
        silent = (JOBS.c.state == RUNNING) & (JOBS.c.beaten < now - lease_seconds)
        again = {"state": QUEUED, "claim": None, "progress": 0.0, "note": AGAIN_LOST}
        over = {"state": FAILED, "claim": None, "error": GIVEN_UP, "ended": now}
        with self.database.transaction() as connection:
            given_up = connection.execute(
                sa.update(JOBS)
                .where(silent, JOBS.c.lost >= MOST_LOST - 1)
                .values(**over, lost=JOBS.c.lost + 1)
                .returning(JOBS.c.kind)
            )
            for kind in given_up.scalars().all():
                _count(connection, kind, FAILED, 0.0)
            back = sa.update(JOBS).where(silent).values(**again, lost=JOBS.c.lost + 1).returning(JOBS.c.identity)
            return list(connection.execute(back).scalars())

    def cancel(self, identity: str) -> Job | None:
        """End a job that waits or runs, or give up the result of one that has ended; none if there is no such job."""
        now = self.clock()
        named = sa.update(JOBS).where(JOBS.c.identity == identity)
        with self.database.transaction() as connection:
            ended = named.where(JOBS.c.state.in_(OPEN)).values(state=CANCELLED, claim=None, ended=now)
            for kind in connection.execute(ended.returning(JOBS.c.kind)).scalars().all():
                _count(connection, kind, CANCELLED, 0.0)
            connection.execute(named.where(JOBS.c.result.is_not(None)).values(result=None, expires=now))
            row = connection.execute(sa.select(*COLUMNS).where(JOBS.c.identity == identity)).one_or_none()
        return None if row is None else Job(*row)

    def expire(self, history_seconds: float) -> None:
        """Give up the results whose time is over, and forget jobs that ended so long ago."""
        now = self.clock()
        with self.database.transaction() as connection:
            connection.execute(sa.update(JOBS).where(JOBS.c.expires < now).values(result=None))
            connection.execute(sa.delete(JOBS).where(JOBS.c.ended < now - history_seconds))


def _one(connection: sa.Connection, identity: str) -> Job:
    return Job(*connection.execute(sa.select(*COLUMNS).where(JOBS.c.identity == identity)).one())


def _held(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return JOBS.c.identity == claim.job.identity, JOBS.c.claim == claim.token, JOBS.c.state == RUNNING


def _count(connection: sa.Connection, kind: str, state: str, seconds: float) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(TOTALS).values(
        kind=kind, state=state, bucket=bisect_left(BUCKETS, seconds), jobs=1, seconds=max(0.0, seconds)
    )
    summed = {"jobs": TOTALS.c.jobs + 1, "seconds": TOTALS.c.seconds + row.excluded.seconds}
    connection.execute(row.on_conflict_do_update(index_elements=["kind", "state", "bucket"], set_=summed))
