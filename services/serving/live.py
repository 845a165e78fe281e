"""Live masking over a WebSocket: a JPEG frame in, a line of JSON and a JPEG frame out, one frame at a time.

A client sends one binary message and waits for two: text with ``faces``, ``milliseconds``, ``fault`` and
``model_version``, then the frame to show. Whatever goes wrong with a frame, the frame to show is black.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from masking.errors import PolicyError
from masking.face.loading import LoadedModel
from masking.face.maskers import masker_of
from masking.live import LiveAnswer, LiveMasker
from masking.media.probe import ImageLimits
from masking.policy import Policy
from mlops.metrics import Metrics
from mlops.settings import LiveSettings, MaskingSettings
from services.asgi.errors import NotReady
from services.serving.places import POLICY_VIOLATION, TRY_AGAIN_LATER, NoPlace, Places, next_message, own_thread, refuse
from services.serving.pool import ModelPool

TOO_SLOW: Final = "the frame took too long"


class LiveSessions:
    """The streams of pictures that are masked now; each has a thread of its own."""

    def __init__(
        self,
        pool: ModelPool[LoadedModel],
        places: Places,
        settings: LiveSettings,
        limits: ImageLimits,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._places = places
        self._settings = settings
        self._limits = limits
        self._metrics = metrics

    async def serve(self, socket: WebSocket, policy: Policy) -> None:
        """Accept a stream and mask its frames until either side leaves.

        Raises:
            PolicyError: The model, or one that took over, does not have the style.
        """
        try:
            masker_of(policy.style, self._pool.current().maskers)
            with self._places.taken(), own_thread() as executor:
                await socket.accept()
                await self._stream(socket, policy, executor)
        except (NotReady, NoPlace) as error:
            await refuse(socket, TRY_AGAIN_LATER, str(error))

    async def _stream(self, socket: WebSocket, policy: Policy, executor: ThreadPoolExecutor) -> None:
        model, masker = None, None
        while True:
            message = await next_message(socket, self._settings.idle_seconds)
            if message is None:
                return
            frame = message.encode() if isinstance(message, str) else message
            if masker is None or model is not self._pool.current():
                # A new champion takes over between two frames, with a fresh look at the stream.
                model = self._pool.current()
                masker = LiveMasker(policy, model.detector, self._limits, model.maskers)
            work = asyncio.get_running_loop().run_in_executor(executor, masker.mask, frame)
            done, _ = await asyncio.wait({work}, timeout=self._settings.frame_seconds)
            late = 1000 * self._settings.frame_seconds
            answer = work.result() if done else LiveAnswer(masker.black(), 0, late, TOO_SLOW)
            self._metrics.live_frames.labels("black" if answer.fault else "masked").inc()
            self._metrics.live_seconds.observe(answer.milliseconds / 1000)
            told = {"faces": answer.faces, "milliseconds": round(answer.milliseconds, 2), "fault": answer.fault}
            await socket.send_text(json.dumps(told | {"model_version": model.version}))
            await socket.send_bytes(answer.jpeg)
            # The masker follows one stream: the late frame has to leave it before the next may enter.
            await asyncio.wait({work})


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
        except PolicyError as error:
            await refuse(socket, POLICY_VIOLATION, str(error))
        except WebSocketDisconnect:
            return

    return router
