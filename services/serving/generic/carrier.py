"""FastAPI's way to a predictor: reads the body within its limits, waits for a thread where one is worth it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from masking.errors import MaskingError, MediaTooLarge
from mlops.generic.loading import GenericModel
from mlops.generic.tensors import BadInput
from mlops.logging import request_id
from services.asgi.body import read_media
from services.asgi.errors import Busy, RequestError
from services.serving.endpoints import Chosen
from services.serving.generic.bodies import json_bytes
from services.serving.generic.calls import HEADER_LENGTH, Call, Kind, Reply
from services.serving.generic.explain import runs_of
from services.serving.generic.pool import Late, Pool
from services.serving.generic.predictor import Predictor
from services.serving.generic.tickets import Ticket
from services.serving.subject import SUBJECT_HEADER, VARIANT_HEADER

LARGE_BYTES: Final = 262_144
"""A body from here on is read in a thread: decoding it takes milliseconds, and others would wait for them."""


class Held(Protocol):
    """The bytes that one request holds."""

    def add(self, size_bytes: int) -> None:
        """Hold more; raises Busy where there is no room."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be.

    Attributes:
        body_bytes: Largest body.
        json_bytes: Most JSON in it.
        seconds: Time within which it must have arrived.
    """

    body_bytes: int
    json_bytes: int
    seconds: float


class Carrier:
    """Carries requests to a predictor and its answers back.

    Args:
        predictor: Who answers.
        pool: Threads for what is not quick.
        limits: What bodies may be.
        holding: Counts the bytes of a request while it lasts.
    """

    def __init__(
        self, predictor: Predictor, pool: Pool, limits: Limits, holding: Callable[[], AbstractContextManager[Held]]
    ) -> None:
        self.predictor = predictor
        self.pool = pool
        self._limits = limits
        self._holding = holding

    async def carry(self, request: Request, kind: Kind, endpoint: str, version: str | None = None) -> Response:
        """Answer a request; what goes wrong is an answer, too."""
        call = _call_of(request, kind, endpoint, version)
        try:
            with self._holding() as held:
                await self._read(request, call, held)
                return _response(await self.answer(call))
        except (RequestError, MaskingError) as error:
            return _response(self.predictor.refuse(call, error))

    async def explain(self, request: Request, endpoint: str) -> Response:
        """Answer what the answer to a request hangs on; it is a row of its own, as any answer."""
        call = _call_of(request, "predict", endpoint, None)
        try:
            with self._holding() as held:
                await self._read(request, call, held)
                ticket = self.predictor.begin(call)
                ticket.explains = True
                return _response(await self.finish(ticket))
        except (RequestError, MaskingError) as error:
            return _response(self.predictor.refuse(call, error))

    async def _read(self, request: Request, call: Call, held: Held) -> None:
        limits = self._limits
        call.body = (await read_media(request, limits.body_bytes, limits.seconds, held.add)).data
        json_size = 0
        with suppress(BadInput):  # A length that makes no sense is refused by who reads the body, as of any variant.
            json_size = json_bytes(call)
        if json_size > limits.json_bytes:
            raise MediaTooLarge(
                f"a call may have up to {limits.json_bytes} bytes of JSON: send fewer rows at a time, "
                "or binary tensors of the Open Inference Protocol"
            )

    async def answer(self, call: Call) -> Reply:
        """Answer a call whose body is there."""
        if len(call.body) >= LARGE_BYTES:
            ticket = await asyncio.to_thread(self.predictor.begin, call)
        else:
            ticket = self.predictor.begin(call)
        return await self.finish(ticket)

    async def finish(self, ticket: Ticket) -> Reply:
        """Answer a ticket that was begun."""
        try:
            await self._run(ticket)
        except RequestError as error:
            ticket = await self._spared(ticket, error)
        except Late:
            ticket = await self._spared(ticket, Busy("it waited longer than it was worth"), has_waited=True)
        return self.predictor.end(ticket)

    async def _run(self, ticket: Ticket) -> None:
        """Have a ticket run where it is worth it; raises Busy and Late."""
        if self.predictor.is_quick(ticket):
            self.predictor.run([ticket])
            return
        chosen, endpoint = ticket.chosen, self.predictor.endpoints.get(ticket.call.endpoint)
        is_candidate = endpoint is not None and chosen is not None and not chosen.is_champion
        usual = _seconds(ticket, endpoint.champion()) if endpoint is not None and is_candidate else None
        await self.pool.run(partial(self.predictor.run, [ticket]), _seconds(ticket, chosen), usual)

    async def _spared(self, ticket: Ticket, error: RequestError, *, has_waited: bool = False) -> Ticket:
        """Return the ticket that answers what was refused: the champion's, where what a candidate costs is why."""
        ticket.error = error
        stand_in = partial(self.predictor.stand_in, ticket, error)
        other = await asyncio.to_thread(stand_in) if len(ticket.call.body) >= LARGE_BYTES else stand_in()
        # The champion would have waited for a thread, too, for what nobody foresaw.
        if other is None or (has_waited and not self.predictor.is_quick(other)):
            return ticket
        with suppress(RequestError, Late):
            await self._run(other)
            return ticket if other.error is not None else other
        return ticket


def _seconds(ticket: Ticket, chosen: Chosen[GenericModel] | None) -> float:
    """Return what a ticket costs where that answers it."""
    if chosen is None or ticket.asked is None:
        return 0.0
    rows = ticket.asked.rows
    return chosen.model.cost.seconds(runs_of(chosen.model, rows) if ticket.explains else rows)


def _call_of(request: Request, kind: Kind, endpoint: str, version: str | None) -> Call:
    headers = request.headers
    return Call(
        kind,
        endpoint,
        b"",
        time.perf_counter(),
        request_id.get() or "",
        version,
        headers.get(HEADER_LENGTH) if kind == "infer" else None,
        headers.get(SUBJECT_HEADER),
        headers.get("cookie"),
        headers.get(VARIANT_HEADER),
        request.client.host if request.client else "",
    )


def _response(reply: Reply) -> Response:
    headers = dict(reply.headers) | {"X-Prediction-Id": reply.identity} | dict(reply.extra)
    return Response(reply.body, reply.status, headers)
