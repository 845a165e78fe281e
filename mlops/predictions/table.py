"""The table of predictions, and what the judge found in some of them.

Rows lie in the order of time: inserting is appending, expiring is cutting off, and a stretch of time is one read.
"""

from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa

from mlops.predictions.row import FACES, Prediction

TABLES: Final = sa.MetaData()
PREDICTIONS: Final = sa.Table(
    "predictions",
    TABLES,
    sa.Column("time", sa.Double, primary_key=True),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("variant", sa.String(64), nullable=False),
    sa.Column("release", sa.String(64), nullable=False),
    sa.Column("experiment", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("stages", sa.JSON, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("faces", sa.Double),
    sa.Column("cache", sa.String(16), nullable=False),
    sa.Column("shadow", sa.Boolean, nullable=False),
    sa.Index("predictions_version", "endpoint", "version", "time"),
    # Rows outside of experiments, nearly all, cost it nothing.
    sa.Index(
        "predictions_experiment",
        "experiment",
        "subject",
        "time",
        sqlite_where=sa.text("experiment <> ''"),
        postgresql_where=sa.text("experiment <> ''"),
    ),
    sqlite_with_rowid=False,
)
JUDGEMENTS: Final = sa.Table(
    "judgements",
    TABLES,
    sa.Column("time", sa.Double, primary_key=True),
    sa.Column("identity", sa.String(64), primary_key=True),
    sa.Column("endpoint", sa.String(128), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("variant", sa.String(64), nullable=False),
    sa.Column("faces", sa.Integer, nullable=False),
    sa.Column("open", sa.Integer, nullable=False),
    sa.Column("judged", sa.Double, nullable=False),
    sqlite_with_rowid=False,
)
ROW: Final = tuple(column.name for column in PREDICTIONS.columns)
Value = Mapping[str, float] | str | float | int | bool | None


def values(row: Prediction, nested: Callable[[Mapping[str, float]], Value]) -> tuple[Value, ...]:
    """Return a row as the values of the table's columns, in their order.

    Args:
        row: The row.
        nested: Makes a value of what is nested.
    """
    counts = row.counts
    return (
        row.time,
        row.identity,
        row.endpoint,
        row.model,
        row.version,
        row.variant,
        row.release,
        row.experiment,
        row.subject,
        row.outcome,
        row.status,
        row.seconds,
        nested(row.stages),
        nested(counts),
        counts.get(FACES),
        row.cache,
        row.shadow,
    )
