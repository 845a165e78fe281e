"""Live masking over a WebSocket: a JPEG frame in, a line of JSON and a JPEG frame out, one frame at a time.

A client sends one binary message and waits for two: text with ``faces``, ``milliseconds``, ``fault`` and
``model_version``, then the frame to show. Whatever goes wrong with a frame, the frame to show is black.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from masking.errors import ModelError, PolicyError
from masking.face.loading import LoadedModel
from masking.live import LiveAnswer, LiveMasker
from masking.media.probe import ImageLimits
from masking.policy import Policy
from mlops.metrics import Metrics
from mlops.settings import LiveSettings, MaskingSettings
from services.asgi.errors import NotReady, RequestError
from services.serving.account import count_piece
from services.serving.endpoints import FACES, Chosen, Endpoint
from services.serving.ledger import SWITCHING, Ledger, untold
from services.serving.places import POLICY_VIOLATION, TRY_AGAIN_LATER, NoPlace, Places, next_message, own_thread, refuse
from services.serving.stream import Stream
from services.serving.variant_policy import with_variant

Faces = Stream[LoadedModel, LiveMasker]
TOO_SLOW: Final = "the frame took too long"


class LiveSessions:
    """The streams of pictures that are masked now; each has a thread of its own."""

    def __init__(
        self,
        faces: Endpoint[LoadedModel],
        places: Places,
        settings: LiveSettings,
        limits: ImageLimits,
        metrics: Metrics,
        ledger: Ledger,
    ) -> None:
        self._faces = faces
        self._ledger = ledger
        self._places = places
        self._settings = settings
        self._limits = limits
        self._metrics = metrics

    async def serve(self, socket: WebSocket, policy: Policy) -> None:
        """Accept a stream and mask its frames until either side leaves.

        Raises:
            PolicyError: The model, or one that took over, does not have the style.
            RequestError: The stream picks a variant and may not, or there is none of the name.
        """
        given = set(socket.query_params)

        def make(chosen: Chosen[LoadedModel]) -> LiveMasker:
            model = chosen.model
            return LiveMasker(with_variant(policy, chosen.variant, given), model.detector, self._limits, model.maskers)

        try:
            with self._ledger.of(socket, FACES, untold, SWITCHING) as account:
                stream = Stream(account, self._faces, make)
                with self._places.taken(), own_thread() as executor, suppress(WebSocketDisconnect):
                    await socket.accept()
                    await self._mask(socket, stream, executor)
        except (NotReady, NoPlace) as error:
            await refuse(socket, TRY_AGAIN_LATER, str(error))

    async def _mask(self, socket: WebSocket, stream: Faces, executor: ThreadPoolExecutor) -> None:
        while True:
            message = await next_message(socket, self._settings.idle_seconds)
            if message is None:
                return
            frame = message.encode() if isinstance(message, str) else message
            stream.go_on()
            answer = await self._answered(stream, frame, executor)
            self._metrics.live_frames.labels("black" if answer.fault else "masked").inc()
            self._metrics.live_seconds.observe(answer.milliseconds / 1000)
            count_piece(stream.account, "frames", answer.milliseconds / 1000, bad=bool(answer.fault))
            told = {"faces": answer.faces, "milliseconds": round(answer.milliseconds, 2), "fault": answer.fault}
            await socket.send_text(json.dumps(told | {"model_version": stream.chosen.model.version}))
            await socket.send_bytes(answer.jpeg)
            await stream.idle()

    async def _answered(self, stream: Faces, frame: bytes, executor: ThreadPoolExecutor) -> LiveAnswer:
        return await stream.answer(
            lambda asked: self._asked(asked, frame, executor),
            TOO_SLOW,
            lambda fault: self._ledger.failed(stream.account, FACES, ModelError(fault)),
        )

    async def _asked(self, stream: Faces, frame: bytes, executor: ThreadPoolExecutor) -> LiveAnswer:
        seconds = self._settings.frame_seconds
        answer = await stream.ask(executor, seconds, lambda masker: masker.mask(frame))
        return answer or LiveAnswer(stream.worker.black(), 0, 1000 * seconds, TOO_SLOW)


def live_router(sessions: LiveSessions, defaults: MaskingSettings) -> APIRouter:
    """Return the route of live masking."""
    router = APIRouter(prefix="/v1", tags=["masking"])

    @router.websocket("/live")
    async def live(
        socket: WebSocket,
        style: Annotated[str, Query()] = defaults.style,
        threshold: Annotated[float, Query()] = defaults.threshold,
        search: Annotated[str, Query()] = "fast",
        tone: Annotated[str, Query()] = "drop",
    ) -> None:
        """Mask a live stream of JPEG frames."""
        strange = set(socket.query_params) - {"style", "threshold", "search", "tone"}
        try:
            policy = Policy(style, threshold, search, tone=tone)
        except PolicyError as error:
            await refuse(socket, POLICY_VIOLATION, str(error))
            return
        if strange:
            await refuse(socket, POLICY_VIOLATION, "the parameters are: style, threshold, search, tone")
            return
        try:
            await sessions.serve(socket, policy)
        except (PolicyError, RequestError) as error:
            await refuse(socket, POLICY_VIOLATION, str(error))
        except WebSocketDisconnect:
            return

    return router
