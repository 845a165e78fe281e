"""The worker as a service: the loop and the process that does jobs, with health and metrics beside them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from mlops.metrics import Metrics
from mlops.settings import Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.worker.child import jobs_part
from services.worker.pull import Puller, following


def worker_part(settings: Settings, metrics: Metrics) -> Part:
    """Return the loop as a part: while it is open, the champions are followed."""
    puller = Puller(settings.registry, metrics.registry)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        for model in (settings.registry.model, settings.registry.voice_model):
            for left in (settings.registry.bundles_path / model).glob(".incoming-*"):
                # A worker was killed while it wrote.
                shutil.rmtree(left, ignore_errors=True)
        async with following(puller.pull, settings.registry.poll_seconds):
            yield

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))


def worker_app(settings: Settings, metrics: Metrics) -> FastAPI:
    """Return the app of the worker alone: it has no routes but health and metrics."""
    parts = [worker_part(settings, metrics), jobs_part(settings, metrics)]
    return create_app(settings, metrics, parts, "Identity Masking Stack: worker")
