"""``GET /v1/models``: what the registry holds, and which version is champion."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.asgi.errors import StrangeHost
from services.asgi.problems import responses

if TYPE_CHECKING:
    from mlops.registry.mlflow import Registry, Version

Answer = TypeVar("Answer")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class ModelVersion(BaseModel):
    """One registered version."""

    version: str = Field(description="Number of the version.")
    aliases: list[str] = Field(description="What it is now, such as `champion` or `previous`.")
    digest: str = Field(description="SHA-256 of the manifest of its bundle.")
    run_id: str = Field(description="The MLflow run that made it.")
    created_ms: int = Field(description="When it was registered, in milliseconds since 1970 (UTC).")
    tags: dict[str, str] = Field(description="Its figures at the gate, the commit and the data version.")


class Models(BaseModel):
    """The names of the registered models."""

    models: list[str]


class ModelVersions(BaseModel):
    """The versions of one model, newest first."""

    name: str
    versions: list[ModelVersion]


def models_router(registry: "Callable[[], Registry]") -> APIRouter:
    """Return the routes.

    Args:
        registry: Gives the registry; called in a thread, since opening it imports MLflow, which takes seconds.
    """
    router = APIRouter(tags=["models"], prefix="/v1/models", responses=responses(StrangeHost))
    unavailable: dict[int | str, dict[str, Any]] = {503: {"description": "The registry does not answer."}}

    @router.get("", responses=unavailable)
    async def names() -> Models:
        """List the registered models."""
        return Models(models=await asyncio.to_thread(lambda: _asked(lambda: registry().names())))

    @router.get("/{name}", responses=unavailable | {404: {"description": "No model has this name."}})
    async def versions(name: Annotated[str, Path(pattern=NAME)]) -> ModelVersions:
        """List the versions of one model, newest first."""
        found = await asyncio.to_thread(lambda: _asked(lambda: registry().versions(name)))
        if not found:
            raise HTTPException(404, "no model has this name")
        return ModelVersions(name=name, versions=[_told(version) for version in found])

    return router


def _told(version: "Version") -> ModelVersion:
    return ModelVersion(
        version=version.version,
        aliases=sorted(version.aliases),
        digest=version.digest,
        run_id=version.run_id,
        created_ms=version.created_ms,
        tags=dict(version.tags),
    )


def _asked(ask: Callable[[], Answer]) -> Answer:
    from mlops.registry.mlflow import RegistryError

    try:
        return ask()
    except RegistryError as error:
        raise HTTPException(503, "the registry does not answer", {"Retry-After": "5"}) from error
