"""A job's result as an answer: whole or in parts, and a problem where there is no such part or no result any more."""

import asyncio
import os
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from services.asgi.errors import BadRange, NoSuchPart, ResultGone
from services.asgi.problems import NAMED

GONE: Final = "it was deleted, or its time is over"


class ResultFile(FileResponse):
    """Sends a file, of which nothing is said before it is open.

    Raises:
        BadRange: The Range header is none of bytes.
        NoSuchPart: The file ends before the part that is asked for.
        ResultGone: It is deleted meanwhile.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; the head waits for what follows it, since the file may be gone when it is opened."""
        head: list[Message] = []

        async def send_after_look(message: Message) -> None:
            if message["type"] == "http.response.start":
                _check(message, scope)
                head.append(message)
                return
            while head:
                await send(head.pop())
            await send(message)

        try:
            self.stat_result = await asyncio.to_thread(os.stat, self.path)
            self.set_stat_headers(self.stat_result)
            await super().__call__(scope, receive, send_after_look)
        except FileNotFoundError:
            raise ResultGone(GONE) from None


def _check(head: Message, scope: Scope) -> None:
    """Raise what Starlette says of a Range header, which it does as plain text."""
    if head["status"] == HTTPStatus.BAD_REQUEST:
        raise BadRange("Range takes bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT, counted from 0; none gives all")
    if head["status"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        size = Headers(raw=head["headers"])["content-range"]
        scope[NAMED] = {"Content-Range": size}
        raise NoSuchPart(f"the result has {size.removeprefix('bytes */')} bytes, counted from 0: ask for some of them")
