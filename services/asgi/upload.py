"""Writing the media of a request to a file as they arrive: a piece at a time in memory, however large they are."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import Final

from starlette.requests import Request

from masking.errors import EmptyMedia
from services.asgi.body import check_declared, form_of, linger, too_large
from services.asgi.errors import SlowBody, StorageFull
from services.asgi.multipart import ENVELOPE_BYTES, FileForm

PIECE_BYTES: Final = 1 << 20
CHECK_BYTES: Final = 16 * PIECE_BYTES
"""So much is written between two looks at the free space."""
OWNER_ONLY: Final = 0o600
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


async def save_media(
    request: Request,
    path: Path,
    limit_bytes: int,
    limit_seconds: float,
    idle_seconds: float,
    has_room: Callable[[int], bool],
) -> str:
    """Write the media in the body to a new file; whatever is raised, the file is gone.

    The text of the form's list of regions is returned; it is empty where there is none.

    Args:
        request: Raw media of any content type, or a form whose parts are named ``file`` and, if wished, ``regions``.
        path: The file; it must not be there yet.
        limit_bytes: Largest media.
        limit_seconds: Time within which the body must have arrived.
        idle_seconds: Longest pause in its arrival.
        has_room: Says whether so many bytes more may be written; asked again and again.

    Raises:
        EmptyMedia, MediaTooLarge, BrokenBody: As `services.asgi.body.read_media`.
        SlowBody: Not there in time, or nothing came for too long.
        StorageFull: The disk has no room.
    """
    form = form_of(request)
    try:
        with _new_file(path) as file:
            async with asyncio.timeout(limit_seconds):
                size = await _save(
                    _pieces(request, form, limit_bytes, idle_seconds, has_room), file, limit_bytes, has_room
                )
            if not size:
                raise EmptyMedia("the body holds no bytes")
    except TimeoutError:
        raise SlowBody(f"a file must arrive within {limit_seconds:g} s") from None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull("the disk is full") from None
        raise
    return form.regions if form else ""


@contextmanager
def _new_file(path: Path) -> Iterator[BufferedWriter]:
    """Open a file that is its owner's alone, and that is there afterwards only if all went well."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _save(
    pieces: AsyncIterator[bytes], file: BufferedWriter, limit_bytes: int, has_room: Callable[[int], bool]
) -> int:
    size, checked = 0, -CHECK_BYTES
    async for piece in pieces:
        size += len(piece)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        if size - checked >= CHECK_BYTES:
            checked = size
            await _check_room(has_room, len(piece))
        # In a thread: a disk that is busy stops a writer for long, and the loop has others to serve.
        await asyncio.to_thread(file.write, piece)
    return size


async def _pieces(
    request: Request, form: FileForm | None, limit_bytes: int, idle_seconds: float, has_room: Callable[[int], bool]
) -> AsyncIterator[bytes]:
    """Yield the media in pieces of about `PIECE_BYTES`."""
    limit = limit_bytes + (ENVELOPE_BYTES if form else 0)
    await check_declared(request, limit, limit_bytes)
    await _check_room(has_room, int(request.headers.get("content-length", "0")))
    received, piece = 0, bytearray()
    async for chunk in _chunks(request, idle_seconds):
        received += len(chunk)
        if received > limit:
            await linger(request, limit)
            raise too_large(limit_bytes)
        if form:
            form.feed(chunk)
            piece += form.take()
        else:
            piece += chunk
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if form:
        piece += form.finish()
    if piece:
        yield bytes(piece)


async def _chunks(request: Request, idle_seconds: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise SlowBody(f"nothing came for {idle_seconds:g} s") from None
        if chunk is None:
            return
        yield chunk


async def _check_room(has_room: Callable[[int], bool], size_bytes: int) -> None:
    if not await asyncio.to_thread(has_room, size_bytes):
        raise StorageFull("the disk has no room for it")
