"""``/v1/captures``: what was kept of predictions. Who opens one says why, and the audit log has it before it opens."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

import numpy as np
from fastapi import APIRouter, Depends, Path, Response
from fastapi import Query as Param
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from mlops.audit import AuditLog
from mlops.predictions.capture_file import Capture
from mlops.predictions.capture_shelf import CaptureShelf, Wanted
from mlops.predictions.grants import GrantStore
from mlops.predictions.settings import CaptureSettings
from services.asgi.errors import ForeignOrigin, StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.actor import Acting
from services.control.predictions import Most, Name, Since, Until
from services.control.stores import AWAY, asked
from services.control.views import WORDS, WORDS_PATTERN

OCTETS: Final = "application/octet-stream"
GONE: Final[dict[int | str, dict[str, Any]]] = {404: described("It was not captured, or is kept no more.")}
BARRED: Final[dict[int | str, dict[str, Any]]] = {403: described("Whoever asks may not see it, or no grant holds.")}
FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}, "description": "The file."}
}
Identity = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As in the answer's `X-Prediction-Id`.")]
Why = Annotated[
    str, Param(min_length=1, max_length=WORDS, pattern=WORDS_PATTERN, description="Why; the audit log has it.")
]


class CaptureView(BaseModel):
    """One capture, without what is in it."""

    id: str = Field(description="Id of the prediction.")
    time: datetime = Field(description="When the request began.")
    endpoint: str
    model: str
    version: str = Field(description="Version that answered.")
    variant: str
    media_type: str = Field(description="Of the masked output; empty for a generic model.")
    bytes: int = Field(description="Size of the masked output; 0 for a generic model.")

    @classmethod
    def of(cls, capture: Capture) -> Self:
        """Return what is told of a capture."""
        told = {name: getattr(capture, name) for name in ("endpoint", "model", "version", "variant", "media_type")}
        size = len(capture.output) if isinstance(capture.output, bytes) else 0
        return cls(id=capture.identity, time=datetime.fromtimestamp(capture.time, UTC), bytes=size, **told)


class CaptureList(BaseModel):
    """Captures, newest first."""

    captures: list[CaptureView]


class OpenCapture(CaptureView):
    """One capture with its features and what came of it; the masked output is a file of its own."""

    features: dict[str, Any]
    report: dict[str, Any]
    outputs: dict[str, Any] = Field(description="Of a generic model.")


def captures_router(settings: CaptureSettings, shelf: CaptureShelf, grants: GrantStore, log: AuditLog) -> APIRouter:
    """Return the routes over a folder of captures."""
    problems = {**responses(StrangeHost, ForeignOrigin, UnknownParameter), **AWAY}
    router = APIRouter(prefix="/v1/captures", tags=["captures"], responses=problems)

    @router.get("", dependencies=[Depends(only("endpoint", "version", "variant", "since", "until", "most"))])
    async def newest(
        endpoint: Name = None,
        version: Name = None,
        variant: Name = None,
        since: Since = None,
        until: Until = None,
        most: Most = 100,
    ) -> CaptureList:
        """List captures, newest first, without opening what is in them."""
        begin, end = (None if moment is None else moment.timestamp() for moment in (since, until))
        wanted = Wanted(endpoint, version, variant, begin, end, most)
        return CaptureList(captures=[CaptureView.of(each) for each in await asked(lambda: _newest(shelf, wanted))])

    @router.get("/{identity}", responses=GONE, dependencies=[Depends(only("reason"))])
    async def show(identity: Identity, reason: Why, actor: Acting) -> OpenCapture:
        """Open the features and the report of a capture."""
        capture = await asked(lambda: _opened(shelf, log, actor, identity, reason, "features"))
        outputs = capture.output if isinstance(capture.output, dict) else {}
        return OpenCapture(
            **CaptureView.of(capture).model_dump(),
            features=_plain(capture.features),
            report=_plain(capture.report),
            outputs=_plain(outputs),
        )

    @router.get(
        "/{identity}/output",
        responses=FILE | GONE,
        response_class=Response,
        dependencies=[Depends(only("reason"))],
    )
    async def output(identity: Identity, reason: Why, actor: Acting) -> Response:
        """Open the masked output of a capture: the file as it was answered, or a generic model's outputs as JSON."""
        capture = await asked(lambda: _opened(shelf, log, actor, identity, reason, "output"))
        if isinstance(capture.output, bytes):
            return _file(capture.output, capture.media_type or OCTETS)
        return JSONResponse(_plain(capture.output), headers={"Cache-Control": "no-store"})

    @router.get(
        "/{identity}/raw",
        responses=FILE | GONE | BARRED,
        response_class=Response,
        dependencies=[Depends(only("reason"))],
    )
    async def raw(identity: Identity, reason: Why, actor: Acting) -> Response:
        """Open what came in: only for those who may grant that, and only while a grant of its endpoint holds."""
        if actor not in settings.raw_granters:
            raise HTTPException(403, "the setting capture.raw_granters names who may see it")
        capture = await asked(lambda: _opened_raw(shelf, grants, log, actor, identity, reason))
        return _file(capture.output, OCTETS)

    return router


def _newest(shelf: CaptureShelf, wanted: Wanted) -> list[Capture]:
    try:
        return shelf.newest(wanted)
    except OSError as error:
        raise _unreadable() from error


def _opened(shelf: CaptureShelf, log: AuditLog, actor: str, identity: str, reason: str, what: str) -> Capture:
    """Return a capture, after its opening stands in the audit log."""
    try:
        capture = shelf.find(identity)
    except OSError as error:
        raise _unreadable() from error
    if capture is None:
        raise HTTPException(404, "it was not captured, or is kept no more")
    log.append(actor, f"capture.open-{what}", identity, {"endpoint": capture.endpoint, "reason": reason})
    return capture


def _opened_raw(
    shelf: CaptureShelf, grants: GrantStore, log: AuditLog, actor: str, identity: str, reason: str
) -> Capture:
    try:
        capture = shelf.find_raw(identity)
    except OSError as error:
        raise _unreadable() from error
    if capture is None:
        raise HTTPException(404, "it was not captured, or is kept no more")
    if capture.endpoint not in grants.ends():
        raise HTTPException(403, f"no grant of the raw input of {capture.endpoint} holds")
    log.append(actor, "capture.open-raw", identity, {"endpoint": capture.endpoint, "reason": reason})
    return capture


def _unreadable() -> HTTPException:
    return HTTPException(503, "the captures cannot be read here")


def _file(data: bytes, media_type: str) -> Response:
    return Response(data, media_type=media_type, headers={"Cache-Control": "no-store"})


def _plain(value: Any) -> Any:  # noqa: ANN401  # whatever was captured
    """Return what was captured as values that JSON knows; numbers that it does not know are null."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
