"""The table of jobs, and what a row of it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

QUEUED: Final = "queued"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
NEEDS_REVIEW: Final = "needs_review"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
STATES: Final = (QUEUED, RUNNING, SUCCEEDED, NEEDS_REVIEW, FAILED, CANCELLED)
OPEN: Final = (QUEUED, RUNNING)
WITH_RESULT: Final = (SUCCEEDED, NEEDS_REVIEW)

TABLES: Final = sa.MetaData()
JOBS: Final = sa.Table(
    "jobs",
    TABLES,
    sa.Column("identity", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("progress", sa.Double, nullable=False, default=0.0),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    # Attempts whose worker fell silent; those that a worker gave back itself do not count.
    sa.Column("lost", sa.Integer, nullable=False, default=0),
    # Drawn anew for each attempt: a worker that lost its claim cannot change the job any more.
    sa.Column("claim", sa.String(32)),
    sa.Column("note", sa.String(200)),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("report", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.String(64)),
    sa.Column("media_type", sa.String(64)),
    sa.Column("created", sa.Double, nullable=False, index=True),
    sa.Column("started", sa.Double),
    sa.Column("beaten", sa.Double),
    sa.Column("ended", sa.Double),
    sa.Column("expires", sa.Double),
)
TOTALS: Final = sa.Table(
    "job_totals",
    TABLES,
    sa.Column("kind", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), primary_key=True),
    # Which bound of `BUCKETS` is the first that the jobs' seconds fit under.
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("jobs", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
)
BUCKETS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, float("inf"))


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands.

    Attributes:
        identity: 32 hex digits.
        kind: What is to be done, such as ``mask-video``.
        state: One of `STATES`.
        options: How it is to be done, as plain JSON values.
        progress: How far it is, 0-1.
        attempts: How often it was started.
        note: What happened to it on the way, such as a start from the beginning.
        error: ``type``, ``title`` and ``detail`` of what made it fail.
        report: What was done, once it is done.
        result: Name of the result's file in the job's folder, as long as it is kept.
        media_type: Media type of the result.
        created: Seconds since the epoch, as the next three.
        started: Beginning of the last attempt.
        ended: When it reached a state that it does not leave.
        expires: When the result is deleted.
    """

    identity: str
    kind: str
    state: str
    options: Mapping[str, Any]
    progress: float
    attempts: int
    note: str | None
    error: Mapping[str, Any] | None
    report: Mapping[str, Any] | None
    result: str | None
    media_type: str | None
    created: float
    started: float | None
    ended: float | None
    expires: float | None

    @property
    def is_open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in OPEN


COLUMNS: Final = tuple(JOBS.c[name] for name in Job.__slots__)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do a job, which one worker has at a time.

    Attributes:
        job: The job as it was claimed.
        token: What makes this claim different from every other on the job.
    """

    job: Job
    token: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended for good.

    Attributes:
        state: ``succeeded``, ``needs_review`` or ``failed``.
        report: What was done.
        result: Name of the result's file; none where the job failed.
        media_type: Its media type.
        error: Why the job failed.
    """

    state: str
    report: Mapping[str, Any] | None = None
    result: str | None = None
    media_type: str | None = None
    error: Mapping[str, Any] | None = None
