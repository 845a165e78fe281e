"""The tables of experiments and of what users say of their subjects."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from math import inf, isfinite
from typing import Any, Final

import sqlalchemy as sa

from mlops.audit import TABLES as PLATFORM
from mlops.experiments.plan import Arm, Metric, Plan
from mlops.experiments.power import Duration, Need
from mlops.experiments.state import Experiment

TABLES: Final = PLATFORM
"""These tables and the audit log, which every move is written to in the same transaction."""
EXPERIMENTS: Final = sa.Table(
    "experiments",
    TABLES,
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(100), nullable=False, index=True),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("needs", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False, index=True),
    sa.Column("started", sa.Double),
    sa.Column("began", sa.Double),
    sa.Column("stopped", sa.Double),
    sa.Column("looked", sa.Double),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("why_stopped", sa.Text, nullable=False),
    sa.Column("decision", sa.String(16), nullable=False),
    sa.Column("arm", sa.String(32), nullable=False),
    sa.Column("forced", sa.Boolean, nullable=False),
    sa.Column("holds", sa.Boolean, nullable=False, index=True),
    sa.Column("look", sa.JSON, nullable=False),
    sa.Column("least_p", sa.JSON, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
)
OUTCOMES: Final = sa.Table(
    "experiment_outcomes",
    TABLES,
    sa.Column("experiment", sa.String(32), primary_key=True),
    sa.Column("subject", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    # One that is sent again with its time is the same one.
    sa.Column("time", sa.Double, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
)
COLUMNS: Final = tuple(EXPERIMENTS.c[each.name] for each in fields(Experiment))


def row_of(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as a row."""
    values = {each.name: getattr(experiment, each.name) for each in fields(experiment)}
    return values | {
        "endpoint": experiment.plan.endpoint,
        "plan": asdict(experiment.plan),
        "needs": needs_told(experiment.needs),
        "look": dict(experiment.look),
        "least_p": [[*key, p] for key, p in experiment.least_p.items()],
    }


def experiment_of(row: sa.Row[Any]) -> Experiment:
    """Return the experiment that a row of `COLUMNS` holds."""
    values = row._asdict()
    plan, needs = values["plan"], values["needs"]
    arms = tuple(Arm(**each) for each in plan["arms"])
    metrics = tuple(Metric(**each) for each in plan["metrics"])
    return Experiment(
        **values
        | {
            "plan": Plan(**plan | {"arms": arms, "metrics": metrics}),
            "needs": Duration(
                {name: Need(**each) for name, each in needs["needs"].items()},
                needs["subjects"],
                inf if needs["days"] is None else needs["days"],
                needs["fits"],
            ),
            "least_p": {(arm, metric): p for arm, metric, p in values["least_p"]},
        }
    )


def needs_told(needs: Duration) -> Mapping[str, Any]:
    """Return what a plan needs as plain JSON values; infinitely many days are null."""
    return asdict(needs) | {"days": needs.days if isfinite(needs.days) else None}
