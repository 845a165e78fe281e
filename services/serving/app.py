"""Serving as a part that can be composed, and as an app of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import cv2
from fastapi import APIRouter, FastAPI

from masking.face.loading import LoadedModel, load_model
from masking.face.maskers import STYLES
from masking.media.probe import ImageLimits
from masking.media.video import probe_video
from mlops.cache import AnswerCache
from mlops.layers import InvalidSettings
from mlops.metrics import Metrics
from mlops.registry.bundle import BundleError, current, pointer_stamp
from mlops.settings import Settings
from services.asgi.app import Part, create_app
from services.asgi.limits import video_limits
from services.serving.admission import Admission
from services.serving.cores import cores
from services.serving.desk import JobDesk
from services.serving.jobs import jobs_router
from services.serving.live import LiveSessions, live_router
from services.serving.plane import DataPlane
from services.serving.pool import ModelPool
from services.serving.routes import serving_router
from services.serving.video import video_router
from services.serving.watcher import Source, watch

log = logging.getLogger(__name__)

TITLE = "Identity Masking Stack"


def serving_part(settings: Settings, metrics: Metrics, source: Source | None = None) -> Part:
    """Return the data plane as a part of an app.

    Args:
        settings: The whole tree.
        metrics: What is counted.
        source: Where models come from; the local bundles of the settings unless given.

    Raises:
        InvalidSettings: the default style is none, or the cache's secret, Redis' URL or the database cannot be used.
    """
    if settings.masking.style not in STYLES:
        raise InvalidSettings(f"masking.style: the styles are {', '.join(STYLES)}")
    serving = settings.serving
    pool = ModelPool(metrics)
    admission = Admission(
        serving.threads or cores(),
        serving.queue_seconds,
        serving.deadline_seconds,
        settings.limits.held_bytes,
        metrics,
    )
    cache = AnswerCache(settings.cache, metrics)
    plane = DataPlane(pool, admission, cache, settings.limits, metrics)
    models = source or bundles(settings)
    desk = JobDesk.of(settings)
    router = APIRouter()
    router.include_router(serving_router(plane, settings.masking))
    probe = partial(probe_video, limits=video_limits(settings.limits))
    router.include_router(video_router(desk, pool, probe, settings.limits, settings.masking))
    router.include_router(jobs_router(desk))
    frames = ImageLimits(settings.live.frame_bytes, settings.limits.image_pixels, settings.limits.image_side)
    router.include_router(live_router(LiveSessions(pool, settings.live, frames, metrics), settings.masking))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        # Images are worked on side by side; within one, more threads would only get into each other's way.
        cv2.setNumThreads(1)
        await cache.open()
        looked = asyncio.Event()
        watcher = asyncio.create_task(
            watch(models, pool, metrics, settings.registry.poll_seconds, serving.reload_retry_seconds, looked)
        )
        try:
            # Where there is a model already, the port opens only when it is loaded: a replica that starts again is
            # not sent requests that it cannot answer.
            await looked.wait()
            yield
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
            await admission.close()
            await cache.close()
            await asyncio.to_thread(desk.close)

    return Part(router, lifespan, pool.readiness)


def bundles(settings: Settings) -> Source:
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


def serving_app(settings: Settings, metrics: Metrics, source: Source | None = None) -> FastAPI:
    """Return the app that serves alone. Arguments and errors as in `serving_part`."""
    return create_app(settings, metrics, [serving_part(settings, metrics, source)], TITLE)
