"""The HTTP routes of jobs: how far they are, what came of them, and an end to them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Depends
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from mlops.jobs.spool import IDENTITY_PATTERN
from mlops.jobs.table import STATES, Job
from services.asgi.errors import (
    BadRange,
    ForeignOrigin,
    JobsAway,
    NoResult,
    NoSuchPart,
    NotDone,
    ResultGone,
    StrangeHost,
    UnknownJob,
    UnknownParameter,
)
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.answer import report_header
from services.serving.desk import JobDesk
from services.serving.openapi import AUDIO_TYPES, BINARY
from services.serving.result_file import ResultFile

PREFIX: Final = "/v1/jobs"
VIDEO_SUFFIXES: Final = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
    "video/webm": ".webm",
}
AUDIO_SUFFIXES: Final = dict(
    zip(AUDIO_TYPES, (".wav", ".flac", ".mp3", ".aac", ".m4a", ".ogg", ".webm", ".mka"), strict=True)
)
SUFFIXES: Final = VIDEO_SUFFIXES | AUDIO_SUFFIXES
# What is no name of a job is not found, as one that there is not: the desk sees to both.
Identity = Annotated[str, PathParameter(description="The job's id.", json_schema_extra={"pattern": IDENTITY_PATTERN})]


class JobError(BaseModel):
    """Why a job failed, as a problem would say it."""

    type: str
    title: str
    detail: str | None = None


class JobView(BaseModel):
    """A job as it stands."""

    id: str
    kind: str = Field(description="What is done, such as mask-video or mask-audio.")
    state: str = Field(json_schema_extra={"enum": list(STATES)})
    progress: Annotated[float, Field(ge=0, le=1)]
    attempts: int = Field(description="How often it was started; each start is from the beginning.")
    note: str | None = Field(description="What happened to it on the way, such as a restart.")
    error: JobError | None
    options: dict[str, Any] = Field(description="How it is done.")
    report: dict[str, Any] | None = Field(description="What was done, once it is; left out of lists.")
    result: str | None = Field(description="Where the result is, while it is kept.")
    media_type: str | None = Field(description="Media type of the result.")
    created: datetime
    started: datetime | None = Field(description="Beginning of the last attempt.")
    ended: datetime | None
    expires: datetime | None = Field(description="When the result is deleted.")

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return what is told of a job."""
        return cls(
            id=job.identity,
            kind=job.kind,
            state=job.state,
            progress=min(1.0, max(0.0, job.progress)),
            attempts=job.attempts,
            note=job.note,
            error=None if job.error is None else JobError(**job.error),
            options=dict(job.options),
            report=None if job.report is None else dict(job.report),
            result=None if job.result is None else f"{address(job)}/result",
            media_type=job.media_type,
            created=datetime.fromtimestamp(job.created, UTC),
            started=_time(job.started),
            ended=_time(job.ended),
            expires=_time(job.expires),
        )


class JobList(BaseModel):
    """The newest jobs, newest first."""

    jobs: list[JobView]


RESULT: Final[dict[str, Any]] = {
    "description": "The result.",
    "content": {kind: {"schema": BINARY} for kind in SUFFIXES},
}
PARTS: Final[dict[str, Any]] = {
    "description": "The parts of it that Range names.",
    "content": {kind: {"schema": BINARY} for kind in (*SUFFIXES, "multipart/byteranges")},
}
_RESULT_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: RESULT,
    206: PARTS,
    **responses(StrangeHost, BadRange, UnknownJob, NotDone, NoResult, ResultGone, NoSuchPart),
}


def address(job: Job) -> str:
    """Return the path under which a job is asked about."""
    return f"{PREFIX}/{job.identity}"


def jobs_router(desk: JobDesk) -> APIRouter:
    """Return the routes of jobs over a desk."""
    router = APIRouter(
        prefix=PREFIX,
        tags=["jobs"],
        responses=responses(StrangeHost, UnknownParameter, JobsAway),
        dependencies=[Depends(only())],
    )

    @router.get("")
    async def list_jobs() -> JobList:
        """List the newest hundred jobs."""
        return JobList(jobs=[JobView.of(job) for job in await desk.newest()])

    @router.get("/{identity}", responses=responses(UnknownJob))
    async def get_job(identity: Identity) -> JobView:
        """Tell how far a job is and, once it is done, what was done."""
        return JobView.of(await desk.get(identity))

    @router.delete("/{identity}", responses=responses(UnknownJob, ForeignOrigin))
    async def cancel_job(identity: Identity) -> JobView:
        """Cancel a job, or give up its result; its media are deleted, and work on it ends at its next frame."""
        return JobView.of(await desk.cancel(identity))

    @router.get("/{identity}/report", responses=responses(UnknownJob, NotDone, NoResult))
    async def get_report(identity: Identity) -> dict[str, Any]:
        """Give the report of what was done."""
        return dict((await desk.done(identity)).report or {})

    @router.head("/{identity}/result", response_class=ResultFile, responses=_RESULT_ANSWERS)
    @router.get("/{identity}/result", response_class=ResultFile, responses=_RESULT_ANSWERS)
    async def get_result(identity: Identity) -> ResultFile:
        """Give the masked file; parts of it by Range."""
        job, file = await desk.result(identity)
        report = dict(job.report or {})
        headers = {"X-Mask-Report": report_header(report), "X-Job-State": job.state, "Cache-Control": "no-store"}
        if "model_version" in report:
            headers["X-Model-Version"] = str(report["model_version"])
        media_type = job.media_type or "application/octet-stream"
        name = f"masked-{identity}{SUFFIXES.get(media_type, '')}"
        return ResultFile(file, headers=headers, media_type=media_type, filename=name)

    return router


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
