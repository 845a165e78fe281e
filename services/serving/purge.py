"""``DELETE /v1/cache``: answers taken back before their time, by version, by subject, or all."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from mlops.cache import AnswerCache
from mlops.purges import PurgeFailed
from services.asgi.errors import CacheAway, ForeignOrigin, StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.plane import subject_tag, version_tag
from services.serving.subject import LONGEST

AGAIN_SECONDS = 5


class Purged(BaseModel):
    """What was taken back."""

    answers: int = Field(description="Answers taken back, of this replica or of the cache that all share.")


def purge_router(cache: AnswerCache) -> APIRouter:
    """Return the route over a cache."""
    problems = responses(StrangeHost, ForeignOrigin, UnknownParameter, CacheAway)
    router = APIRouter(prefix="/v1", tags=["masking"], responses=problems)

    @router.delete("/cache", dependencies=[Depends(only("version", "subject"))])
    async def purge(
        version: Annotated[
            str | None, Query(description="Answers of this version of the model.", min_length=1, max_length=64)
        ] = None,
        subject: Annotated[
            str | None,
            Query(description="Answers to whom requests name so (X-Subject-Id).", min_length=1, max_length=LONGEST),
        ] = None,
    ) -> Purged:
        """Take back kept answers, of all replicas: those that all given parameters hold for, else all of them."""
        tags = [] if version is None else [version_tag(version)]
        tags += [] if subject is None else [subject_tag(subject)]
        try:
            return Purged(answers=await cache.purge(tags))
        except PurgeFailed:
            raise CacheAway("what replicas share was not purged; try again", AGAIN_SECONDS) from None

    return router
