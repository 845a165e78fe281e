"""Questions about predictions, each answered by one stretch of an index, however many rows there are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from mlops.database import Database
from mlops.predictions.row import FAILED, OK, PICKED, UTILITY, Prediction, made_at
from mlops.predictions.table import JUDGEMENTS, PREDICTIONS
from mlops.rollout.guard import Moments, Window

SAMPLE: Final = 20_000
"""Answers of all variants that a window looks at the duration and utility of, about."""
EXPIRE_ROWS: Final = 5000
NAME_SECONDS: Final = 300.0
"""How far the time of a row may be from that of its name."""
TAIL: Final = 4
P: Final = PREDICTIONS.c
J: Final = JUDGEMENTS.c
_PICKED: Final = P.counts[PICKED].as_float()


@dataclass(frozen=True, slots=True)
class Query:
    """Which predictions are asked for; what is None is not asked about.

    Attributes:
        endpoint: What was asked.
        version: Version that answered.
        variant: Name of the variant.
        since: Earliest time, in seconds since the epoch.
        until: Time before which they are.
        before: Time and name of the prediction after which to go on, for the next page.
        limit: Most that are returned.
    """

    endpoint: str | None = None
    version: str | None = None
    variant: str | None = None
    since: float | None = None
    until: float | None = None
    before: tuple[float, str] | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge found in one masked output.

    Attributes:
        time: Time of the prediction.
        identity: Name of the prediction.
        endpoint: What was asked.
        version: Version that answered.
        variant: Name of the variant.
        faces: Faces that it looked for.
        open: Faces that still show.
    """

    time: float
    identity: str
    endpoint: str
    version: str
    variant: str
    faces: int
    open: int


@dataclass(frozen=True, slots=True)
class PredictionStore:
    """The predictions. Every method raises `mlops.database.DatabaseAway` where the database does not answer.

    Attributes:
        database: Where they are.
        clock: Seconds since the epoch.
    """

    database: Database
    clock: Callable[[], float] = time.time

    def find(self, query: Query) -> list[Prediction]:
        """Return the predictions that are asked for, newest first."""
        with self.database.reading() as connection:
            if query.endpoint is None or query.version is not None:
                return [row_of(row) for row in connection.execute(finding(query))]
            # The index has the versions of an endpoint one after the other: each gives its newest.
            versions = _versions(connection, query.endpoint)
            each = [connection.execute(finding(replace(query, version=version))) for version in versions]
            newest = sorted(chain.from_iterable(each), key=lambda row: (row.time, row.identity), reverse=True)
            return [row_of(row) for row in newest[: query.limit]]

    def get(self, identity: str) -> Prediction | None:
        """Return one prediction; none if there is none of that name."""
        asked = sa.select(PREDICTIONS).where(P.identity == identity)
        made = made_at(identity)
        if made is not None:
            # Rows lie in the order of time, which the name tells.
            asked = asked.where(P.time.between(made - NAME_SECONDS, made + NAME_SECONDS))
        with self.database.reading() as connection:
            row = connection.execute(asked.limit(1)).one_or_none()
        return None if row is None else row_of(row)

    def windows(
        self, endpoint: str, since: float, until: float, release: str | None = None
    ) -> dict[tuple[str, str], Window]:
        """Return what each variant of an endpoint did from ``since`` until before ``until``, all in one window.

        Args:
            endpoint: What was asked.
            since: Seconds since the epoch.
            until: Seconds since the epoch.
            release: Rows of this release or experiment alone; all unless given.

        Returns:
            By variant and version; copies of requests that nobody got an answer to count as any other, and requests
            that picked their variant not at all. Durations and utility are those of a random sample of about `SAMPLE`
            at most, the same share of every variant's; of durations there is one of each subject.
        """
        # Rows of a release have none that picked; without, what says so must be looked into.
        which = _PICKED.is_(None) if release is None else sa.or_(P.release == release, P.experiment == release)
        stretch = sa.and_(P.time >= since, P.time < until, which)
        with self.database.reading() as connection:
            judged = {(row.variant, row.version): row for row in connection.execute(_judged(endpoint, since, until))}
            groups = connection.execute(grouping(endpoint, stretch)).all()
            # Were it another share for each, those who ask often would be rarer in one than in the other.
            share = SAMPLE / max(1, sum(group.ok for group in groups))
            return {
                (group.variant, group.version): _window(
                    group,
                    _sampled(connection, endpoint, group, stretch, share),
                    judged.get((group.variant, group.version)),
                )
                for group in groups
            }

    def judge(self, judgements: Sequence[Judgement]) -> None:
        """Keep what the judge found; one that is there stays as it is."""
        now = self.clock()
        with self.database.transaction() as connection:
            for found in judgements:
                there = sa.select(J.identity).where(J.time == found.time, J.identity == found.identity)
                if connection.execute(there).first() is None:
                    row = {name: getattr(found, name) for name in Judgement.__slots__}
                    connection.execute(sa.insert(JUDGEMENTS).values(**row, judged=now))

    def expire(self, keep_seconds: float) -> int:
        """Delete one batch of what is older, oldest first; returns how many predictions it was.

        Called again until it returns 0, so that nobody waits for a delete of millions of rows.
        """
        until = self.clock() - keep_seconds
        edge = sa.select(P.time).where(P.time < until).order_by(P.time, P.identity).offset(EXPIRE_ROWS).limit(1)
        with self.database.transaction() as connection:
            end = connection.execute(edge).scalar_one_or_none()
            # Rows of the very same time go together, or none of them would.
            last = P.time < until if end is None else P.time <= end
            connection.execute(sa.delete(JUDGEMENTS).where(J.time < until))
            return int(connection.execute(sa.delete(PREDICTIONS).where(last)).rowcount)


def finding(query: Query) -> sa.Select[Any]:
    """Return the statement that `PredictionStore.find` asks."""
    asked = sa.select(PREDICTIONS)
    for column, value in ((P.endpoint, query.endpoint), (P.version, query.version), (P.variant, query.variant)):
        asked = asked if value is None else asked.where(column == value)
    if query.since is not None:
        asked = asked.where(P.time >= query.since)
    if query.until is not None:
        asked = asked.where(P.time < query.until)
    if query.before is not None:
        # Time alone bounds the stretch of the index; the pair says where in that moment to go on.
        moment, identity = query.before
        asked = asked.where(P.time <= moment, sa.tuple_(P.time, P.identity) < (moment, identity))
    return asked.order_by(P.time.desc(), P.identity.desc()).limit(query.limit)


def grouping(endpoint: str, stretch: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the statement that counts what each variant did in a stretch of time."""

    def counted(which: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.func.sum(sa.case((which, 1), else_=0))

    # A row of status 0 is about no request: a replica could not load the version.
    return (
        sa.select(
            P.variant,
            P.version,
            counted((P.status != 0) & P.outcome.in_((OK, FAILED))).label("requests"),
            counted((P.outcome == FAILED) & (P.status != 0)).label("failed"),
            counted(P.status == 0).label("load_refused"),
            counted(P.outcome == OK).label("ok"),
            sa.func.count(P.faces).label("pictures"),
            sa.func.coalesce(sa.func.sum(P.faces), 0.0).label("faces"),
            sa.func.coalesce(sa.func.sum(P.faces * P.faces), 0.0).label("squares"),
        )
        # Written so, no index of endpoints is taken for it: the stretch of time is what bounds the work.
        .where(sa.func.coalesce(P.endpoint, "") == endpoint, stretch)
        .group_by(P.variant, P.version)
    )


def _versions(connection: sa.Connection, endpoint: str) -> list[str]:
    """Return the versions that an endpoint has rows of, by one step into the index for each of them."""
    versions: list[str] = []
    lowest = sa.select(sa.func.min(P.version)).where(P.endpoint == endpoint)
    version = connection.execute(lowest).scalar_one()
    while version is not None:
        versions.append(version)
        version = connection.execute(lowest.where(P.version > version)).scalar_one()
    return versions


def _sampled(
    connection: sa.Connection, endpoint: str, group: sa.Row[Any], stretch: sa.ColumnElement[bool], share: float
) -> tuple[NDArray[np.float64], Moments]:
    """Return how long an answer to each subject of a sample took, and how useful those answers are that tell."""
    asked = sa.select(P.identity, P.subject, P.seconds, P.counts[UTILITY].as_float()).where(
        P.endpoint == endpoint, P.version == group.version, P.variant == group.variant, P.outcome == OK, stretch
    )
    if share < 1:
        # The end of a name is random, and the same in every replica and at every look.
        asked = asked.where(sa.func.substr(P.identity, 33 - TAIL) < f"{int(share * 16**TAIL):0{TAIL}x}")
    # Subjects are drawn, so each counts once, however much it asks: by the answer whose name ends lowest. Who is not
    # named is drawn anew for each request, so each of those is a subject.
    one_each: dict[str, tuple[str, float]] = {}
    useful: list[float] = []
    for identity, subject, seconds, utility in connection.execute(asked):
        who, lot = subject or identity, (identity[-TAIL:], seconds)
        if who not in one_each or lot[0] < one_each[who][0]:
            one_each[who] = lot
        if utility is not None:
            useful.append(utility)
    values = np.array(useful, np.float64)
    moments = Moments(values.size, float(values.sum()), float((values**2).sum()))
    return np.fromiter((seconds for _, seconds in one_each.values()), np.float64, len(one_each)), moments


def _judged(endpoint: str, since: float, until: float) -> sa.Select[Any]:
    picked = sa.select(P.identity).where(P.time == J.time, P.identity == J.identity, _PICKED.is_not(None))
    return (
        sa.select(
            J.variant,
            J.version,
            sa.func.sum(J.faces).label("faces"),
            sa.func.sum(J.open).label("open"),
        )
        .where(J.endpoint == endpoint, J.time >= since, J.time < until, ~picked.exists())
        .group_by(J.variant, J.version)
    )


def _window(group: sa.Row[Any], sampled: tuple[NDArray[np.float64], Moments], judged: sa.Row[Any] | None) -> Window:
    seconds, utility = sampled
    return Window(
        requests=int(group.requests),
        failed=int(group.failed),
        seconds=seconds,
        judged=0 if judged is None else int(judged.faces),
        open_found=0 if judged is None else int(judged.open),
        faces=Moments(int(group.pictures), float(group.faces), float(group.squares)),
        utility=utility,
        load_refused=int(group.load_refused),
    )


def row_of(row: sa.Row[Any]) -> Prediction:
    """Return a row of the table as what it was made of."""
    return Prediction(**{name: getattr(row, name) for name in Prediction.__struct_fields__})
