"""Live masking of voices over a WebSocket: a chunk of PCM in, a line of JSON and as much masked PCM out.

A client sends one binary message (16 bits a sample, little endian, channels interleaved) and waits for two: text with
``milliseconds``, ``delay_seconds``, ``fault`` and ``model_version``, then just as many bytes of sound, which lag behind
by ``delay_seconds``. Whatever goes wrong with a chunk, what comes back for it is silence.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from masking.errors import MaskingError
from masking.live_voice import LiveSound, LiveVoice
from masking.voice.policy import VoicePolicy
from mlops.metrics import Metrics
from mlops.settings import LiveSettings, MaskingSettings
from services.asgi.errors import NotReady
from services.serving.places import POLICY_VIOLATION, TRY_AGAIN_LATER, NoPlace, Places, next_message, own_thread, refuse
from services.serving.pool import ModelPool
from services.serving.voices import Voices

DEFAULT_RATE: Final = 16_000
TOO_SLOW: Final = "the chunk took too long"
NOT_BINARY: Final = "a chunk must be a binary message"
PARAMETERS: Final = ("style", "background", "consistent", "rate", "channels")


class LiveVoices:
    """The streams of sound that are masked now; each has a thread of its own."""

    def __init__(self, pool: ModelPool[Voices], places: Places, settings: LiveSettings, metrics: Metrics) -> None:
        self._pool = pool
        self._places = places
        self._settings = settings
        self._metrics = metrics

    async def serve(self, socket: WebSocket, policy: VoicePolicy, rate: int, channels: int) -> None:
        """Accept a stream and mask its chunks until either side leaves.

        Raises:
            UnsupportedMedia: Rate or channels are not taken.
        """
        try:
            LiveVoice(policy, self._pool.current().model, rate, channels)
            with self._places.taken(), own_thread() as executor:
                await socket.accept()
                await self._stream(socket, policy, rate, channels, executor)
        except (NotReady, NoPlace) as error:
            await refuse(socket, TRY_AGAIN_LATER, str(error))

    async def _stream(
        self, socket: WebSocket, policy: VoicePolicy, rate: int, channels: int, executor: ThreadPoolExecutor
    ) -> None:
        voices, voice = None, None
        while True:
            chunk = await next_message(socket, self._settings.idle_seconds)
            if chunk is None:
                return
            if voice is None or voices is not self._pool.current():
                # A new champion takes over between two chunks; it has heard nothing yet, and begins with silence.
                voices = self._pool.current()
                voice = LiveVoice(_again(policy), voices.model, rate, channels)
            if isinstance(chunk, str):
                await self._answer(socket, LiveSound(b"", 0.0, NOT_BINARY), voice, voices.version)
                continue
            work = asyncio.get_running_loop().run_in_executor(executor, voice.mask, chunk)
            done, _ = await asyncio.wait({work}, timeout=self._settings.frame_seconds)
            late = LiveSound(voice.silence(len(chunk)), 1000 * self._settings.frame_seconds, TOO_SLOW)
            await self._answer(socket, work.result() if done else late, voice, voices.version)
            # The voice follows one stream: the late chunk has to leave it before the next may enter.
            await asyncio.wait({work})

    async def _answer(self, socket: WebSocket, answer: LiveSound, voice: LiveVoice, version: str) -> None:
        self._metrics.live_chunks.labels("silent" if answer.fault else "masked").inc()
        self._metrics.live_chunk_seconds.observe(answer.milliseconds / 1000)
        told = {
            "milliseconds": round(answer.milliseconds, 2),
            "delay_seconds": round(voice.delay_seconds, 4),
            "fault": answer.fault,
            "model_version": version,
        }
        await socket.send_text(json.dumps(told))
        await socket.send_bytes(answer.pcm)


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
        except MaskingError as error:
            await refuse(socket, POLICY_VIOLATION, str(error))
        except WebSocketDisconnect:
            return

    return router
