"""The platform API as a part that can be composed, and as an app of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from mlops.audit import AuditLog
from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions.capture_shelf import CaptureShelf
from mlops.predictions.captures import seals
from mlops.predictions.grants import GrantStore
from mlops.predictions.recorder import database_of
from mlops.predictions.store import PredictionStore
from mlops.rollout.store import ReleaseStore
from mlops.rollout.table import TABLES
from mlops.settings import Settings
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.control.approvals import approvals_router
from services.control.audit import audit_router
from services.control.captures import captures_router
from services.control.experiment_planning import experiment_planner
from services.control.experiments import experiments_router
from services.control.grants import grants_router
from services.control.lookup import Foreseen, Lookup, lookup_of
from services.control.models import models_router
from services.control.planning import Planner
from services.control.predictions import predictions_router
from services.control.releases import releases_router
from services.control.sql import sql_router


def control_part(settings: Settings, lookup: Lookup) -> Part:
    """Return the platform API as a part. Database and registry are opened by the first request that needs them.

    Args:
        settings: The whole tree.
        lookup: How the registry is asked.
    """
    database = Database(settings.database, TABLES)
    predictions = database_of(settings.predictions)
    store, grants = ReleaseStore(database), GrantStore(database)
    foreseen = Foreseen(lookup, store)
    shelf = CaptureShelf(settings.capture.path, lambda: seals(settings.capture, settings.cache.read_secret()))
    routers = [
        models_router(foreseen),
        releases_router(store, Planner(settings, store, foreseen)),
        approvals_router(store),
        audit_router(AuditLog(database)),
        predictions_router(PredictionStore(predictions)),
        grants_router(settings.capture, grants),
        captures_router(settings.capture, shelf, grants, AuditLog(database)),
        sql_router(settings),
        experiments_router(settings, experiment_planner(settings, database, predictions, foreseen)),
    ]
    together = APIRouter()
    for router in routers:
        together.include_router(router)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        database.close()
        predictions.close()

    return Part(together, lifespan, lambda: Readiness(ready=True))


def control_app(settings: Settings, metrics: Metrics) -> FastAPI:
    """Return the app of the platform API alone."""
    part = control_part(settings, lookup_of(settings.registry.tracking_uri))
    return create_app(settings, metrics, [part], "Identity Masking Stack: control")
