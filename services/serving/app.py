"""Serving as a part that can be composed, and as an app of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
from fastapi import APIRouter, FastAPI

from masking.face.loading import LoadedModel
from masking.face.maskers import STYLES
from masking.media.probe import ImageLimits
from masking.media.video import probe_video
from masking.voice.maskers import STYLES as VOICE_STYLES
from mlops.cache import AnswerCache
from mlops.layers import InvalidSettings
from mlops.metrics import Metrics
from mlops.predictions.captures import Captures
from mlops.predictions.recorder import Recorder
from mlops.settings import MaskingSettings, Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.asgi.limits import video_limits
from services.serving.admission import Admission, Patience
from services.serving.audio import audio_router
from services.serving.cores import cores
from services.serving.desk import JobDesk
from services.serving.endpoints import FACES, VOICES, Endpoint
from services.serving.explain import explain_router
from services.serving.faces import check_faces, load_faces
from services.serving.jobs import jobs_router
from services.serving.ledger import Ledger
from services.serving.live import LiveSessions, live_router
from services.serving.live_audio import LiveVoices, live_audio_router
from services.serving.places import Places
from services.serving.plane import DataPlane
from services.serving.predict import generic_endpoints
from services.serving.purge import purge_router
from services.serving.recording import Recording
from services.serving.routes import serving_router
from services.serving.shadow import Shadows
from services.serving.sound import SoundPlane
from services.serving.styles import styles_router
from services.serving.subject import Overrides
from services.serving.video import video_router
from services.serving.voices import Voices, check_voices, load_voices
from services.serving.watcher import Source, bundle_source, watch

TITLE = "Identity Masking Stack"


def serving_part(
    settings: Settings,
    metrics: Metrics,
    source: Source[LoadedModel] | None = None,
    voice_source: Source[Voices] | None = None,
) -> Part:
    """Return the data plane as a part of an app.

    Args:
        settings: The whole tree.
        metrics: What is counted.
        source: Where models of faces come from; the local bundles of the settings unless given.
        voice_source: Where models of voices come from, likewise.

    Raises:
        InvalidSettings: the default style is none, or the cache's secret, Redis' URL or the database cannot be used.
    """
    _check_styles(settings.masking)
    serving = settings.serving
    replica = serving.replica or socket.gethostname()
    faces: Endpoint[LoadedModel] = Endpoint(FACES, metrics, replica, metrics.ready)
    voices: Endpoint[Voices] = Endpoint(VOICES, metrics, replica, what="voice model")
    admission = Admission(
        serving.threads or cores(),
        Patience(serving.queue_seconds, serving.answer_seconds, serving.answer_costs),
        serving.deadline_seconds,
        settings.limits.held_bytes,
        metrics,
    )
    cache = AnswerCache(settings.cache, metrics)
    recorder = Recorder(settings.predictions, metrics, settings.cache.read_secret(), replica)
    captures = Captures(settings.capture, metrics, settings.cache.read_secret())
    recording = Recording(recorder, captures)
    overrides = Overrides(serving.override_networks)
    # Who wants nothing to be captured means releases, too.
    ledger = Ledger(recorder, captures, overrides, settings.capture.release_share if settings.capture.share else 0.0)
    limits = settings.limits
    shadows = Shadows(admission, ledger, serving.deadline_seconds, metrics)
    plane = DataPlane(faces, admission, cache, settings.limits, metrics, ledger, shadows)
    registry = settings.registry
    models = source or bundle_source(registry.bundles_path, registry.model, load_faces, check_faces)
    voice_models = voice_source or bundle_source(registry.bundles_path, registry.voice_model, load_voices, check_voices)
    desk = JobDesk.of(settings)
    router = APIRouter()
    router.include_router(serving_router(plane, settings.masking))
    probe = partial(probe_video, limits=video_limits(settings.limits))
    router.include_router(video_router(desk, faces, voices, probe, settings.limits, settings.masking))
    sounds = SoundPlane(voices, admission, desk, limits, metrics, ledger, shadows)
    router.include_router(audio_router(sounds, settings.masking))
    router.include_router(explain_router(plane, settings.masking))
    router.include_router(purge_router(cache))
    router.include_router(styles_router(faces, voices, settings.masking))
    router.include_router(jobs_router(desk))
    generic = generic_endpoints(
        settings,
        metrics,
        overrides,
        recorder,
        captures,
        (faces, voices),
        admission.holding,
        replica,
        ledger.refused,
    )
    router.include_router(generic.router)
    places = Places(settings.live.sessions, metrics)
    frames = ImageLimits(settings.live.frame_bytes, settings.limits.image_pixels, settings.limits.image_side)
    streams = LiveSessions(faces, places, settings.live, frames, metrics, ledger)
    talks = LiveVoices(voices, places, settings.live, metrics, ledger)
    router.include_router(live_router(streams, settings.masking))
    router.include_router(live_audio_router(talks, settings.masking))

    every, retry = registry.traffic_seconds, serving.reload_retry_seconds
    watches = (
        partial(watch, models, faces, metrics, every, retry, refused=partial(ledger.refused, FACES)),
        partial(watch, voice_models, voices, metrics, every, retry, refused=partial(ledger.refused, VOICES)),
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        # Images are worked on side by side; within one, more threads would only get into each other's way.
        cv2.setNumThreads(1)
        async with AsyncExitStack() as stack:
            await cache.open()
            stack.push_async_callback(asyncio.to_thread, desk.close)
            stack.push_async_callback(cache.close)
            await stack.enter_async_context(recording)
            stack.push_async_callback(admission.close)
            stack.push_async_callback(shadows.close)
            await stack.enter_async_context(_watching(watches))
            await stack.enter_async_context(generic.lifespan())
            yield

    def readiness() -> Readiness:
        # Faces are masked without a model of voices: who needs one that is not there is told so by himself.
        ready, facts = faces.readiness(), voices.readiness().facts
        return replace(ready, facts={**ready.facts, **{f"voice_{name}": fact for name, fact in facts.items()}})

    return Part(router, lifespan, readiness, generic.http)


@asynccontextmanager
async def _watching(watches: Sequence[Callable[[asyncio.Event], Coroutine[Any, Any, None]]]) -> AsyncIterator[None]:
    looked = [asyncio.Event() for _ in watches]
    watchers = [asyncio.create_task(look(event)) for look, event in zip(watches, looked, strict=True)]
    try:
        # Where there are models already, the port opens only when they are loaded: a replica that starts again is not
        # sent requests that it cannot answer.
        for event in looked:
            await event.wait()
        yield
    finally:
        for watcher in watchers:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher


def _check_styles(defaults: MaskingSettings) -> None:
    for name, style, styles in (
        ("masking.style", defaults.style, STYLES),
        ("masking.voice_style", defaults.voice_style, VOICE_STYLES),
    ):
        if style not in styles:
            raise InvalidSettings(f"{name}: the styles are {', '.join(styles)}")


def serving_app(
    settings: Settings,
    metrics: Metrics,
    source: Source[LoadedModel] | None = None,
    voice_source: Source[Voices] | None = None,
) -> FastAPI:
    """Return the app that serves alone. Arguments and errors as in `serving_part`."""
    return create_app(settings, metrics, [serving_part(settings, metrics, source, voice_source)], TITLE)
