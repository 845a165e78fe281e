"""Errors as RFC 9457 problem details: one table says which status and text each type of error gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from masking.errors import (
    DamagedMedia,
    DeadlineExceeded,
    EmptyMedia,
    MediaError,
    MediaTooLarge,
    ModelError,
    PolicyError,
    StorageError,
    UnsupportedMedia,
    Withheld,
)
from mlops.generic.tensors import BadInput
from mlops.logging import request_id
from services.asgi.errors import (
    BadRange,
    BrokenBody,
    Busy,
    CacheAway,
    ForeignOrigin,
    JobsAway,
    NoOverride,
    NoResult,
    NoSuchPart,
    NotDone,
    NotReady,
    ResultGone,
    SlowBody,
    StorageFull,
    StrangeHost,
    TooManyRequests,
    UnknownEndpoint,
    UnknownJob,
    UnknownParameter,
    UnknownVariant,
)

MEDIA_TYPE: Final = "application/problem+json"
NAMED: Final = "masker.named"
"""Where a route leaves the headers that an answer has even if it is a problem."""
URN: Final = "urn:identity-masking-stack:problem:"
POLICY_VIOLATION: Final = 1008
LONGEST_REASON: Final = 123
"""Bytes of the reason for which a WebSocket is closed (RFC 6455, section 5.5)."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is told about one type of error.

    Attributes:
        status: HTTP status.
        slug: End of the type URN.
        title: What is wrong, the same for every occurrence.
        tells: Whether the error's own text is given as detail; only where it never quotes the input.
        ends_connection: Whether the connection is closed, since the rest of the body is not read.
    """

    status: int
    slug: str
    title: str
    tells: bool = True
    ends_connection: bool = False


TABLE: Final[Mapping[type[Exception], Row]] = {
    EmptyMedia: Row(400, "empty-body", "The body is empty"),
    BrokenBody: Row(400, "broken-body", "The body cannot be read", ends_connection=True),
    BadRange: Row(400, "bad-range", "The Range header cannot be read"),
    StrangeHost: Row(400, "strange-host", "The Host header names no host of this server"),
    ForeignOrigin: Row(403, "foreign-origin", "Requests from other sites' pages are refused"),
    NoOverride: Row(403, "no-override", "Only clients of certain networks may pick a variant"),
    UnknownEndpoint: Row(404, "unknown-endpoint", "There is no such endpoint or version"),
    UnknownJob: Row(404, "unknown-job", "There is no such job"),
    SlowBody: Row(408, "slow-body", "The body did not arrive in time", ends_connection=True),
    NotDone: Row(409, "job-not-done", "The job is not done yet"),
    NoResult: Row(409, "job-without-result", "The job has no result"),
    ResultGone: Row(410, "result-gone", "The result is not kept any more"),
    MediaTooLarge: Row(413, "too-large", "What is sent is larger than the limits allow", ends_connection=True),
    NoSuchPart: Row(416, "no-such-part", "The file ends before the part that is asked for"),
    UnsupportedMedia: Row(415, "unsupported-media", "Not a kind of media that is masked here"),
    DamagedMedia: Row(422, "damaged-media", "The media are truncated or damaged"),
    MediaError: Row(422, "bad-media", "The media cannot be masked"),
    PolicyError: Row(422, "bad-policy", "The masking policy is not valid"),
    Withheld: Row(422, "withheld", "The media are withheld, since a face may be open in them"),
    UnknownParameter: Row(422, "unknown-parameter", "A query parameter does not exist or is given twice"),
    UnknownVariant: Row(422, "unknown-variant", "No variant of that name answers here"),
    BadInput: Row(422, "bad-input", "The input is not what the model takes"),
    RequestValidationError: Row(422, "invalid-parameter", "A parameter is not valid", tells=False),
    TooManyRequests: Row(429, "too-many-requests", "The client sends more than it may"),
    ClientDisconnect: Row(499, "client-gone", "The client closed the connection", tells=False),
    ModelError: Row(500, "model-failed", "The model failed", tells=False),
    Exception: Row(500, "internal", "Something went wrong here", tells=False),
    NotReady: Row(503, "not-ready", "No tested model is loaded yet"),
    Busy: Row(503, "busy", "Too much work is waiting"),
    CacheAway: Row(503, "cache-away", "The shared cache does not answer"),
    JobsAway: Row(503, "jobs-away", "The table of jobs does not answer"),
    DeadlineExceeded: Row(504, "deadline-exceeded", "The work took longer than is allowed"),
    StorageFull: Row(507, "storage-full", "There is no room for the upload", ends_connection=True),
    StorageError: Row(507, "not-written", "The result cannot be written"),
}


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="URN that names the type of the problem; about:blank where the status says it all.")
    title: str = Field(description="What is wrong; the same text for every problem of the type.")
    status: int = Field(description="The HTTP status again.")
    detail: str | None = Field(default=None, description="What is wrong in this case. Never quotes the input.")
    request_id: str | None = Field(default=None, description="The X-Request-Id of this answer.")
    errors: list[str] | None = Field(default=None, description="Each parameter that is not valid, and why.")


def row_of(error: Exception) -> Row:
    """Return the table's row for an error: its own type's, else the nearest parent's."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def problem(error: Exception) -> JSONResponse:
    """Return the answer to an error."""
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, HTTPException):
        title = HTTPStatus(error.status_code).phrase
        told = Problem(type="about:blank", title=title, status=error.status_code)
        told.detail = error.detail if error.detail != title else None
        headers |= dict(error.headers or {})
    else:
        row = row_of(error)
        text = str(error) if row.tells else ""
        told = Problem(type=URN + row.slug, title=row.title, status=row.status, detail=text or None)
        if isinstance(error, RequestValidationError):
            told.errors = [_invalid(fault) for fault in error.errors()]
        if row.ends_connection:
            headers["Connection"] = "close"
        retry_after = getattr(error, "retry_after_seconds", None)
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
    told.request_id = request_id.get()
    content = told.model_dump(exclude_none=True)
    return JSONResponse(content, told.status, headers, media_type=MEDIA_TYPE)


def told(error: Exception) -> dict[str, str | None]:
    """Return type, title and detail of an error, for whoever asks about it later."""
    row = row_of(error)
    return {"type": URN + row.slug, "title": row.title, "detail": (str(error) if row.tells else "") or None}


async def answer_with_problem(request: Request, error: Exception) -> JSONResponse:
    """Answer an error that a route raised, as Starlette calls it, with the headers that it left in the scope."""
    answer = problem(error)
    answer.headers.update(request.scope.get(NAMED, {}))
    return answer


async def close_with_reason(socket: WebSocket, error: WebSocketRequestValidationError) -> None:
    """Close a WebSocket over parameters that are not valid; before it is accepted nobody would be told the reason."""
    reason = "; ".join(_invalid(fault) for fault in error.errors())
    await socket.accept()
    await socket.close(POLICY_VIOLATION, reason.encode("ascii", "replace")[:LONGEST_REASON].decode())


def responses(*errors: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """Describe the answers to these types of error for OpenAPI."""
    rows: dict[int, list[str]] = {}
    for error in errors:
        rows.setdefault(TABLE[error].status, []).append(TABLE[error].title)
    return {status: described("; ".join(titles)) for status, titles in rows.items()}


def described(text: str) -> dict[str, Any]:
    """Describe one problem answer for OpenAPI; the schema itself is added to the components by the app."""
    return {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _invalid(fault: Mapping[str, Any]) -> str:
    # "loc" is where, with our own parameter's name; "input" and "ctx" would echo what was sent.
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
