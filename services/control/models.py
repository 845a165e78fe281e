"""``GET /v1/models``: what the registry holds, and which version is champion."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from mlops.registry.version import NAME_PATTERN, Version
from services.asgi.errors import StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.lookup import Lookup
from services.control.stores import AWAY, asked


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


def models_router(lookup: Lookup) -> APIRouter:
    """Return the routes over the registry."""
    router = APIRouter(
        tags=["models"],
        prefix="/v1/models",
        responses={**responses(StrangeHost, UnknownParameter), **AWAY},
        dependencies=[Depends(only())],
    )

    @router.get("")
    async def names() -> Models:
        """List the registered models."""
        return Models(models=await asked(lookup.names))

    @router.get("/{name}", responses={404: described("No model has this name.")})
    async def versions(name: Annotated[str, Path(pattern=NAME_PATTERN)]) -> ModelVersions:
        """List the versions of one model, newest first."""
        found = await asked(lambda: lookup.versions(name))
        if not found:
            raise HTTPException(404, "no model has this name")
        return ModelVersions(name=name, versions=[_told(version) for version in found])

    return router


def _told(version: Version) -> ModelVersion:
    return ModelVersion(
        version=version.version,
        aliases=sorted(version.aliases),
        digest=version.digest,
        run_id=version.run_id,
        created_ms=version.created_ms,
        tags=dict(version.tags),
    )
