"""What experiments read of the table of predictions: their own rows, and the past."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

import sqlalchemy as sa

from mlops.database import Database
from mlops.experiments.observations import Row, expected, observe
from mlops.experiments.plan import CONTROL, Metric
from mlops.experiments.power import DAY, Expected
from mlops.predictions.row import FAILED, OK
from mlops.predictions.table import PREDICTIONS

BATCH_ROWS: Final = 10_000
PAST_ROWS: Final = 50_000
"""Newest predictions that a plan's expectations are taken from."""
NOTHING: Final[Mapping[str, float]] = {}
P: Final = PREDICTIONS.c


@dataclass(frozen=True, slots=True)
class Past:
    """What predictions of the past say.

    Attributes:
        expected: By metric; one that too little is known of is not there.
        subjects_a_day: How many new subjects come; 0 where nobody came.
    """

    expected: Mapping[str, Expected]
    subjects_a_day: float


@dataclass(frozen=True, slots=True)
class PredictionReader:
    """Reads predictions. Every method raises `mlops.database.DatabaseAway` where the database does not answer.

    Attributes:
        database: The predictions'.
        history_seconds: How far back the past goes.
    """

    database: Database
    history_seconds: float

    def rows(self, experiment: str, metrics: Sequence[Metric]) -> Iterator[Row]:
        """Yield the rows of an experiment, those of one subject in the order of time, with the counts asked for."""
        counts = {each for metric in metrics for each in (metric.source, metric.per) if each.startswith("counts.")}
        # Reading JSON takes longer than all the rest, and faces have a column of their own.
        plain = counts <= {"counts.faces"}
        asked = (
            sa.select(P.time, P.subject, P.variant, P.outcome, P.seconds, P.faces if plain else P.counts)
            .where(P.experiment == experiment, P.experiment != "", P.subject != "", sa.not_(P.shadow))
            # Where an arm failed and the champion answered instead, both rows have the time of the request: the failure
            # comes first, since the subject was the arm's.
            .order_by(P.subject, P.time, sa.case((P.outcome == FAILED, 0), else_=1))
        )
        with self.database.reading() as connection:
            for at, subject, variant, outcome, seconds, counted in connection.execution_options(
                yield_per=BATCH_ROWS
            ).execute(asked):
                known = counted if not plain else NOTHING if counted is None else {"faces": counted}
                yield Row(at, subject, variant, outcome, seconds, known)

    def refused(self, experiment: str) -> str:
        """Return the arm that a replica could not load; empty for none. Such rows are about nobody."""
        about = (P.experiment == experiment, P.experiment != "", P.subject == "", P.outcome == FAILED, P.status == 0)
        with self.database.reading() as connection:
            return connection.execute(sa.select(P.variant).where(*about).limit(1)).scalar() or ""

    def past(self, endpoint: str, version: str, metrics: Sequence[Metric], window_seconds: float, now: float) -> Past:
        """Return what the newest predictions of a version say of metrics."""
        asked = (
            sa.select(P.time, P.subject, P.identity, P.outcome, P.seconds, P.counts)
            .where(P.endpoint == endpoint, P.version == version, P.time >= now - self.history_seconds)
            .where(sa.not_(P.shadow), P.status != 0)
            .order_by(P.time.desc())
            .limit(PAST_ROWS)
        )
        with self.database.reading() as connection:
            found = connection.execute(asked).all()
        rows = [
            Row(row.time, row.subject or row.identity, CONTROL, row.outcome, row.seconds, row.counts)
            for row in reversed(found)
        ]
        if not rows:
            return Past({}, 0.0)
        seen = observe(rows, (), (CONTROL,), window_seconds, inf)
        told = {metric.name: each for metric in metrics if (each := expected(seen, CONTROL, metric)) is not None}
        span = max(now - rows[0].time, 1.0)
        return Past(told, seen.exposed[CONTROL] / span * DAY)

    def before(self, endpoint: str, metric: Metric, began: float) -> Mapping[str, float]:
        """Return a metric's values by subject from before an experiment began."""
        values = {
            "seconds": sa.func.avg(sa.case((P.outcome == OK, P.seconds))),
            "requests": sa.func.count(),
            "error": sa.func.sum(sa.case((P.outcome == FAILED, 1), else_=0)),
            "counts.faces": sa.func.coalesce(sa.func.sum(P.faces), 0),
        }
        value = values[metric.source]
        asked = sa.select(P.subject, value).where(
            P.endpoint == endpoint, P.subject != "", sa.not_(P.shadow),
            P.time >= began - self.history_seconds, P.time < began,
        )  # fmt: skip
        with self.database.reading() as connection:
            rows = connection.execute(asked.group_by(P.subject)).all()
        return {subject: float(each) for subject, each in rows if each is not None}
