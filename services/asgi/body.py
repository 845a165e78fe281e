"""Reading the media of a request: raw or as a form's file, never more than is allowed, never on disk."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from masking.errors import EmptyMedia, MediaTooLarge
from services.asgi.errors import SlowBody
from services.asgi.multipart import ENVELOPE_BYTES, FileForm

FORM: Final = "multipart/form-data"
LINGER_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Media:
    """What a body holds: the media, and the text of a list of regions, empty where there is none."""

    data: bytes
    regions: str = ""


async def read_media(
    request: Request, limit_bytes: int, limit_seconds: float, hold: Callable[[int], None] | None = None
) -> Media:
    """Return the media in the body.

    Args:
        request: Raw media of any content type, or a form whose parts are named ``file`` and, if wished, ``regions``.
        limit_bytes: Largest media.
        limit_seconds: Time within which the body must have arrived.
        hold: Told of the size of each chunk before it is kept; what it raises ends the reading.

    Raises:
        EmptyMedia: no bytes.
        MediaTooLarge: more than the limit, by the Content-Length or as soon as it is passed; nothing more is kept.
        BrokenBody: a form that cannot be read.
        SlowBody: not there in time.
    """
    form = form_of(request)
    limit = limit_bytes + (ENVELOPE_BYTES if form else 0)
    await check_declared(request, limit, limit_bytes)
    try:
        async with asyncio.timeout(limit_seconds):
            chunks = await _read(request, limit, limit_bytes, form, hold)
    except TimeoutError:
        raise SlowBody(f"a body must arrive within {limit_seconds:g} s") from None
    data = form.finish() if form else b"".join(chunks)
    if not data:
        raise EmptyMedia("the body holds no bytes")
    if len(data) > limit_bytes:
        raise too_large(limit_bytes)
    return Media(data, form.regions if form else "")


def form_of(request: Request) -> FileForm | None:
    """Return what takes the request's form, if its body is one.

    Raises:
        BrokenBody: the form has no boundary.
    """
    content_type = request.headers.get("content-type", "")
    return FileForm(content_type) if content_type.split(";")[0].strip().lower() == FORM else None


async def check_declared(request: Request, limit: int, limit_bytes: int) -> None:
    """Raise MediaTooLarge where the Content-Length is above ``limit``, which is ``limit_bytes`` and its envelope."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        if "expect" not in request.headers:
            # As much as of a body that declares nothing: more of it may be on its way.
            await linger(request, 2 * limit)
        raise too_large(limit_bytes)


async def _read(
    request: Request, limit: int, limit_bytes: int, form: FileForm | None, hold: Callable[[int], None] | None
) -> list[bytes]:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            chunks.clear()
            await linger(request, limit)
            raise too_large(limit_bytes)
        if hold:
            hold(len(chunk))
        if form:
            form.feed(chunk)
        elif chunk:
            chunks.append(chunk)
    return chunks


async def linger(request: Request, limit: int) -> None:
    """Throw away what comes for a moment: closing on a sender in full flow resets the line, and the answer is lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            size = 0
            while size < limit:
                message = await request.receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def too_large(limit_bytes: int) -> MediaTooLarge:
    """Return the error that says how large media may be."""
    return MediaTooLarge(f"what is sent may have up to {limit_bytes} bytes")
