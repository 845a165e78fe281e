"""The tables of releases: what was asked for, who approved, who has an endpoint's split, and which aliases wait."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import sqlalchemy as sa

from mlops.audit import TABLES as PLATFORM
from mlops.rollout.approvals import Approval, Vote
from mlops.rollout.state import Release, Step

TABLES: Final = PLATFORM
"""These tables and the audit log, which every move is written to in the same transaction."""
RELEASES: Final = sa.Table(
    "releases",
    TABLES,
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("endpoint", sa.String(100), nullable=False, index=True),
    sa.Column("model", sa.String(100), nullable=False),
    sa.Column("strategy", sa.String(32), nullable=False),
    sa.Column("candidate", sa.String(32), nullable=False),
    sa.Column("candidate_digest", sa.String(64), nullable=False),
    sa.Column("baseline", sa.String(32), nullable=False),
    sa.Column("baseline_digest", sa.String(64), nullable=False),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("risk", sa.String(16), nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False, index=True),
    sa.Column("updated", sa.Double, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False, index=True),
    sa.Column("policy", sa.JSON, nullable=False),
    sa.Column("baseline_policy", sa.JSON, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("step_started", sa.Double),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
APPROVALS: Final = sa.Table(
    "approvals",
    TABLES,
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("release", sa.String(32), nullable=False, unique=True),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("requested_by", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False, index=True),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("votes", sa.JSON, nullable=False),
)
CLAIMS: Final = sa.Table(
    "split_claims",
    TABLES,
    sa.Column("endpoint", sa.String(100), primary_key=True),
    # The file with the split is the model's, so no two endpoints share a model while one of them is split.
    sa.Column("model", sa.String(100), nullable=False, unique=True),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
)
ALIASES: Final = sa.Table(
    "alias_operations",
    TABLES,
    sa.Column("model", sa.String(100), primary_key=True),
    sa.Column("alias", sa.String(32), primary_key=True),
    sa.Column("version", sa.String(32)),
    # Drawn anew for each wish: whoever carries out an older one cannot take a newer one for done.
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)


@dataclass(frozen=True, slots=True)
class AliasOperation:
    """An alias that the registry is to have.

    Attributes:
        model: Name of the registered model.
        alias: ``champion``, ``challenger`` or ``previous``.
        version: Version that it is to name; None for no such alias.
        token: What makes this wish different from a later one for the same alias.
    """

    model: str
    alias: str
    version: str | None
    token: str


COLUMNS: Final = tuple(RELEASES.c[each.name] for each in fields(Release))


def row_of(release: Release) -> dict[str, Any]:
    """Return a release as a row."""
    steps = [
        [step.weight, None if step.seconds == float("inf") else step.seconds, step.minimum] for step in release.steps
    ]
    return asdict(release) | {"steps": steps}


def release_of(row: sa.Row[Any]) -> Release:
    """Return the release that a row of `COLUMNS` holds."""
    values = row._asdict()
    steps = tuple(
        Step(weight, float("inf") if seconds is None else seconds, minimum)
        for weight, seconds, minimum in values["steps"]
    )
    return Release(**values | {"steps": steps})


def approval_row(approval: Approval) -> dict[str, Any]:
    """Return a request for approval as a row."""
    return asdict(approval) | {"votes": [asdict(vote) for vote in approval.votes]}


def approval_of(row: sa.Row[Any]) -> Approval:
    """Return the request for approval that a row holds."""
    values = row._asdict()
    return Approval(**values | {"votes": tuple(Vote(**vote) for vote in values["votes"])})
