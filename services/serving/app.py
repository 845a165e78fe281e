"""Serving as a part that can be composed, and as an app of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import cv2
from fastapi import APIRouter, FastAPI

from masking.face.loading import LoadedModel, load_model
from masking.face.maskers import STYLES
from masking.media.probe import ImageLimits
from masking.media.video import probe_video
from masking.voice.maskers import STYLES as VOICE_STYLES
from mlops.cache import AnswerCache
from mlops.layers import InvalidSettings
from mlops.metrics import Metrics
from mlops.registry.bundle import BundleError, current, pointer_stamp
from mlops.settings import MaskingSettings, Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.asgi.limits import video_limits
from services.serving.admission import Admission
from services.serving.audio import audio_router
from services.serving.cores import cores
from services.serving.desk import JobDesk
from services.serving.jobs import jobs_router
from services.serving.live import LiveSessions, live_router
from services.serving.live_audio import LiveVoices, live_audio_router
from services.serving.places import Places
from services.serving.plane import DataPlane
from services.serving.pool import ModelPool
from services.serving.routes import serving_router
from services.serving.sound import SoundPlane
from services.serving.styles import styles_router
from services.serving.video import video_router
from services.serving.voices import Voices, voice_bundles
from services.serving.watcher import Source, watch

log = logging.getLogger(__name__)

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
    pool: ModelPool[LoadedModel] = ModelPool(metrics, metrics.ready)
    voices: ModelPool[Voices] = ModelPool(metrics, what="voice model")
    admission = Admission(
        serving.threads or cores(),
        serving.queue_seconds,
        serving.deadline_seconds,
        settings.limits.held_bytes,
        metrics,
    )
    cache = AnswerCache(settings.cache, metrics)
    plane = DataPlane(pool, admission, cache, settings.limits, metrics)
    models, voice_models = source or bundles(settings), voice_source or voice_bundles(settings.registry)
    desk = JobDesk.of(settings)
    router = APIRouter()
    router.include_router(serving_router(plane, settings.masking))
    probe = partial(probe_video, limits=video_limits(settings.limits))
    router.include_router(video_router(desk, pool, voices, probe, settings.limits, settings.masking))
    router.include_router(audio_router(SoundPlane(voices, admission, desk, settings.limits, metrics), settings.masking))
    router.include_router(styles_router(pool, voices, settings.masking))
    router.include_router(jobs_router(desk))
    places = Places(settings.live.sessions, metrics)
    frames = ImageLimits(settings.live.frame_bytes, settings.limits.image_pixels, settings.limits.image_side)
    router.include_router(live_router(LiveSessions(pool, places, settings.live, frames, metrics), settings.masking))
    router.include_router(live_audio_router(LiveVoices(voices, places, settings.live, metrics), settings.masking))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        # Images are worked on side by side; within one, more threads would only get into each other's way.
        cv2.setNumThreads(1)
        await cache.open()
        looked = asyncio.Event(), asyncio.Event()
        every, retry = settings.registry.poll_seconds, serving.reload_retry_seconds
        watchers = (
            asyncio.create_task(watch(models, pool, metrics, every, retry, looked[0])),
            asyncio.create_task(watch(voice_models, voices, metrics, every, retry, looked[1])),
        )
        try:
            # Where there are models already, the port opens only when they are loaded: a replica that starts again is
            # not sent requests that it cannot answer.
            for event in looked:
                await event.wait()
            yield
        finally:
            for watcher in watchers:
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher
            await admission.close()
            await cache.close()
            await asyncio.to_thread(desk.close)

    def readiness() -> Readiness:
        # Faces are masked without a model of voices: who needs one that is not there is told so by himself.
        ready, facts = pool.readiness(), voices.readiness().facts
        return replace(ready, facts={**ready.facts, **{f"voice_{name}": fact for name, fact in facts.items()}})

    return Part(router, lifespan, readiness)


def _check_styles(defaults: MaskingSettings) -> None:
    for name, style, styles in (
        ("masking.style", defaults.style, STYLES),
        ("masking.voice_style", defaults.voice_style, VOICE_STYLES),
    ):
        if style not in styles:
            raise InvalidSettings(f"{name}: the styles are {', '.join(styles)}")


def bundles(settings: Settings) -> Source[LoadedModel]:
    """Return the local, verified bundles as a source of models."""
    registry = settings.registry

    def load_current() -> LoadedModel:
        bundle = current(registry.bundles_path, registry.model)
        if bundle is None:
            raise BundleError("the pointer has gone")
        model = load_model(bundle, threads=1)
        for precision, fault in model.refused.items():
            log.warning("graph refused", extra={"version": model.version, "precision": precision, "fault": fault})
        return model

    return Source(partial(pointer_stamp, registry.bundles_path, registry.model), load_current)


def serving_app(
    settings: Settings,
    metrics: Metrics,
    source: Source[LoadedModel] | None = None,
    voice_source: Source[Voices] | None = None,
) -> FastAPI:
    """Return the app that serves alone. Arguments and errors as in `serving_part`."""
    return create_app(settings, metrics, [serving_part(settings, metrics, source, voice_source)], TITLE)
