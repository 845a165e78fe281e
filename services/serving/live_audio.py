"""Live masking of voices over a WebSocket: a chunk of PCM in, a line of JSON and as much masked PCM out.

A client sends one binary message (16 bits a sample, little endian, channels interleaved) and waits for two: text with
``milliseconds``, ``delay_seconds``, ``fault`` and ``model_version``, then just as many bytes of sound, which lag behind
by ``delay_seconds``. Whatever goes wrong with a chunk, what comes back for it is silence.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Final

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from masking.errors import MaskingError, ModelError
from masking.live_voice import LiveSound, LiveVoice
from masking.voice.policy import VoicePolicy
from mlops.metrics import Metrics
from mlops.settings import LiveSettings, MaskingSettings
from services.asgi.errors import NotReady, RequestError
from services.serving.account import count_piece
from services.serving.endpoints import VOICES, Chosen, Endpoint
from services.serving.ledger import SWITCHING, Ledger, untold
from services.serving.places import POLICY_VIOLATION, TRY_AGAIN_LATER, NoPlace, Places, next_message, own_thread, refuse
from services.serving.stream import Stream
from services.serving.variant_policy import with_variant
from services.serving.voices import Voices

Talk = Stream[Voices, LiveVoice]
DEFAULT_RATE: Final = 16_000
TOO_SLOW: Final = "the chunk took too long"
NOT_BINARY: Final = "a chunk must be a binary message"
PARAMETERS: Final = ("style", "background", "consistent", "rate", "channels")


class LiveVoices:
    """The streams of sound that are masked now; each has a thread of its own."""

    def __init__(
        self, voices: Endpoint[Voices], places: Places, settings: LiveSettings, metrics: Metrics, ledger: Ledger
    ) -> None:
        self._voices = voices
        self._places = places
        self._settings = settings
        self._metrics = metrics
        self._ledger = ledger

    async def serve(self, socket: WebSocket, policy: VoicePolicy, rate: int, channels: int) -> None:
        """Accept a stream and mask its chunks until either side leaves.

        Raises:
            UnsupportedMedia: Rate or channels are not taken.
            RequestError: The stream picks a variant and may not, or there is none of the name.
        """

        given = set(socket.query_params)

        def make(chosen: Chosen[Voices]) -> LiveVoice:
            wished = with_variant(_again(policy), chosen.variant, given)
            return LiveVoice(wished, chosen.model.model, rate, channels)

        try:
            with self._ledger.of(socket, VOICES, untold, SWITCHING) as account:
                stream = Stream(account, self._voices, make)
                with self._places.taken(), own_thread() as executor, suppress(WebSocketDisconnect):
                    await socket.accept()
                    await self._mask(socket, stream, executor)
        except (NotReady, NoPlace) as error:
            await refuse(socket, TRY_AGAIN_LATER, str(error))

    async def _mask(self, socket: WebSocket, stream: Talk, executor: ThreadPoolExecutor) -> None:
        while True:
            chunk = await next_message(socket, self._settings.idle_seconds)
            if chunk is None:
                return
            # Who takes over between two chunks has heard nothing yet, and begins with silence.
            stream.go_on()
            answer = await self._answered(stream, chunk, executor)
            self._metrics.live_chunks.labels("silent" if answer.fault else "masked").inc()
            self._metrics.live_chunk_seconds.observe(answer.milliseconds / 1000)
            count_piece(stream.account, "chunks", answer.milliseconds / 1000, bad=bool(answer.fault))
            told = {
                "milliseconds": round(answer.milliseconds, 2),
                "delay_seconds": round(stream.worker.delay_seconds, 4),
                "fault": answer.fault,
                "model_version": stream.chosen.model.version,
            }
            await socket.send_text(json.dumps(told))
            await socket.send_bytes(answer.pcm)
            await stream.idle()

    async def _answered(self, stream: Talk, chunk: bytes | str, executor: ThreadPoolExecutor) -> LiveSound:
        if isinstance(chunk, str):
            return LiveSound(b"", 0.0, NOT_BINARY)
        return await stream.answer(
            lambda asked: self._asked(asked, chunk, executor),
            TOO_SLOW,
            lambda fault: self._ledger.failed(stream.account, VOICES, ModelError(fault)),
        )

    async def _asked(self, stream: Talk, chunk: bytes, executor: ThreadPoolExecutor) -> LiveSound:
        seconds = self._settings.frame_seconds
        answer = await stream.ask(executor, seconds, lambda voice: voice.mask(chunk))
        return answer or LiveSound(stream.worker.silence(len(chunk)), 1000 * seconds, TOO_SLOW)


def _again(policy: VoicePolicy) -> VoicePolicy:
    """Return a policy that draws other pseudo-voices than this one did, unless one speaker is to keep his."""
    return policy if policy.consistent else VoicePolicy(policy.style, policy.background)


def live_audio_router(voices: LiveVoices, defaults: MaskingSettings) -> APIRouter:
    """Return the route of live masking of voices."""
    router = APIRouter(prefix="/v1", tags=["masking"])

    @router.websocket("/live/audio")
    async def live_audio(
        socket: WebSocket,
        style: Annotated[str, Query()] = defaults.voice_style,
        background: Annotated[str, Query()] = defaults.voice_background,
        consistent: Annotated[bool, Query()] = False,
        rate: Annotated[int, Query()] = DEFAULT_RATE,
        channels: Annotated[int, Query()] = 1,
    ) -> None:
        """Mask the voices of a live stream of PCM."""
        if set(socket.query_params) - set(PARAMETERS):
            await refuse(socket, POLICY_VIOLATION, f"the parameters are: {', '.join(PARAMETERS)}")
            return
        try:
            await voices.serve(socket, VoicePolicy(style, background, consistent), rate, channels)
        except (MaskingError, RequestError) as error:
            await refuse(socket, POLICY_VIOLATION, str(error))
        except WebSocketDisconnect:
            return

    return router
