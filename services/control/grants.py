"""``/v1/captures/grants``: who granted that raw input is captured, where, why and until when."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mlops.predictions.grants import Grant, GrantStore, NotGranted, check
from mlops.predictions.settings import CaptureSettings
from services.asgi.errors import ForeignOrigin, StrangeHost, UnknownParameter
from services.asgi.parameters import only
from services.asgi.problems import described, responses
from services.control.actor import Acting
from services.control.predictions import NAME
from services.control.stores import AWAY, asked
from services.control.views import Reason, time_of


class Wish(BaseModel):
    """What is to be granted."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str = Field(pattern=NAME, description="Whose raw input is captured, such as `faces`.")
    seconds: PositiveFloat = Field(description="For how long (setting capture.raw_most_seconds at most).")
    reason: Reason


class GrantView(BaseModel):
    """One grant."""

    id: str
    endpoint: str
    granted_by: str
    reason: str
    granted: datetime
    ends: datetime
    revoked: datetime | None

    @classmethod
    def of(cls, grant: Grant) -> Self:
        """Return what is told of a grant."""
        return cls(
            id=grant.identity,
            endpoint=grant.endpoint,
            granted_by=grant.granted_by,
            reason=grant.reason,
            granted=datetime.fromtimestamp(grant.granted, UTC),
            ends=datetime.fromtimestamp(grant.ends, UTC),
            revoked=time_of(grant.revoked),
        )


class GrantList(BaseModel):
    """The newest grants, newest first."""

    grants: list[GrantView]


def grants_router(settings: CaptureSettings, store: GrantStore) -> APIRouter:
    """Return the routes over the grants."""
    router = APIRouter(
        prefix="/v1/captures/grants",
        tags=["captures"],
        responses={**responses(StrangeHost, ForeignOrigin, UnknownParameter), **AWAY},
        dependencies=[Depends(only())],
    )

    @router.get("")
    async def newest() -> GrantList:
        """List the newest grants."""
        return GrantList(grants=[GrantView.of(grant) for grant in await asked(store.newest)])

    @router.post("", status_code=201, responses={403: described("Whoever asks may not grant it, or not for so long.")})
    async def grant(wish: Wish, actor: Acting) -> GrantView:
        """Have raw input of an endpoint captured, sealed, for a time; the audit log has who said so, and why."""
        try:
            check(actor, wish.seconds, settings)
        except NotGranted as error:
            raise HTTPException(403, str(error)) from error
        return GrantView.of(await asked(lambda: store.grant(wish.endpoint, actor, wish.reason, wish.seconds)))

    @router.delete(
        "/{identity}", status_code=204, responses={404: described("There is no such grant, or it holds no more.")}
    )
    async def revoke(identity: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], actor: Acting) -> Response:
        """Take a grant back; anybody may."""
        if not await asked(lambda: store.revoke(identity, actor)):
            raise HTTPException(404, "there is no such grant, or it holds no more")
        return Response(status_code=204)

    return router
