"""The worker as a service: it follows the registry, goes its rounds and keeps the process that does jobs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from mlops.database import Database
from mlops.metrics import Metrics
from mlops.registry.bundle import remove_left
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.worker.child import jobs_part
from services.worker.duties import duties
from services.worker.pull import Puller, following
from services.worker.rounds import rounds_part


def worker_part(settings: Settings, metrics: Metrics) -> Part:
    """Return what follows the registry as a part: while it is open, wanted versions and champions are brought."""
    database = Database(settings.database, TABLES)
    puller = Puller(settings.registry, metrics.registry, ReleaseStore(database))

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        remove_left(settings.registry.bundles_path)
        async with following(puller.pull, settings.registry.poll_seconds):
            yield
        database.close()

    return Part(APIRouter(), lifespan, lambda: Readiness(ready=True))


def worker_app(settings: Settings, metrics: Metrics) -> FastAPI:
    """Return the app of the worker alone: it has no routes but health and metrics."""
    rounds = rounds_part(duties(settings, metrics), metrics)
    parts = [worker_part(settings, metrics), rounds, jobs_part(settings, metrics)]
    return create_app(settings, metrics, parts, "Identity Masking Stack: worker")
