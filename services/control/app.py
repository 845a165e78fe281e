"""The platform API as a part that can be composed, and as an app of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

from fastapi import FastAPI

from mlops.metrics import Metrics
from mlops.settings import Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.models import models_router

if TYPE_CHECKING:
    from mlops.registry.mlflow import Registry


def control_part(settings: Settings) -> Part:
    """Return the platform API as a part. The registry is opened by the first request that needs it."""

    @cache
    def registry() -> "Registry":
        from mlops.registry.mlflow import Registry

        return Registry(settings.registry.tracking_uri)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    return Part(models_router(registry), lifespan, lambda: Readiness(ready=True))


def control_app(settings: Settings, metrics: Metrics) -> FastAPI:
    """Return the app of the platform API alone."""
    return create_app(settings, metrics, [control_part(settings)], "Identity Masking Stack: control")
