"""``POST /v1/explain/image``: what would be masked, why, and how surely, as data or drawn on the masked picture."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from masking.explain import ASKED, BELOW, DETECTED, KEPT, Explanation
from masking.policy import Policy
from mlops.settings import MaskingSettings
from services.asgi.parameters import only
from services.serving.endpoints import FACES
from services.serving.openapi import BINARY, ID_HEADERS, IMAGE_BODY
from services.serving.plane import DataPlane
from services.serving.routes import PROBLEMS, Size
from services.serving.wishes import MANY, Keep, Mask, Search, Style, Threshold, selection_of

PNG: Final = "image/png"


class Region(BaseModel):
    """One region, and why it is masked or not."""

    box: Annotated[list[float], Field(min_length=4, max_length=4, description="x1, y1, x2, y2")]
    masked: bool
    reason: str = Field(
        description="detected: it scored the threshold at least. asked: a person listed it. kept: it was detected, but "
        "a person listed it to stay. below-threshold: it scored half of the threshold at least.",
        json_schema_extra={"enum": [DETECTED, ASKED, KEPT, BELOW]},
    )
    score: float | None = Field(description="The detector's score; null for what was only asked for.")
    margin: float | None = Field(description="Score less threshold: how far it is from the other decision.")


class Explained(BaseModel):
    """Why a picture is masked as it is."""

    image: Size
    threshold: float
    regions: list[Region]
    model_version: str


EXPLAINED: Final[dict[str, Any]] = {
    "description": "The account as JSON or, where Accept names image/png, the masked picture with frames drawn on it.",
    "model": Explained,
    "content": {PNG: {"schema": BINARY}},
    "headers": ID_HEADERS,
}
Accept = Annotated[str, Header(description="image/png for the picture, else JSON.")]


def explain_router(plane: DataPlane, defaults: MaskingSettings) -> APIRouter:
    """Return the route over a data plane; ``defaults`` is what a request that does not say gets."""
    router = APIRouter(prefix="/v1", tags=["masking"], responses=PROBLEMS)

    @router.post(
        "/explain/image",
        openapi_extra=IMAGE_BODY,
        responses={200: EXPLAINED},
        dependencies=[Depends(only("style", "threshold", "search", *MANY, many=MANY))],
    )
    async def explain_image(
        request: Request,
        style: Style = defaults.style,
        threshold: Threshold = defaults.threshold,
        search: Search = defaults.search,
        keep: Keep = [],  # noqa: B006  # FastAPI copies it for each request
        mask: Mask = [],  # noqa: B006
        accept: Accept = "",
    ) -> Response:
        """Say what masking would cover, why, and how surely; it costs about twice as much as masking."""
        told, account = await plane.explain(request, Policy(style, threshold, search, selection_of(keep, mask)))
        headers = account.headers(FACES)
        if PNG in accept.lower():
            return Response(await asyncio.to_thread(told.overlay), media_type=PNG, headers=headers)
        return JSONResponse(_explained(told, headers["X-Model-Version"]).model_dump(), headers=headers)

    return router


def _explained(told: Explanation, version: str) -> Explained:
    regions = [
        Region(
            box=list(finding.box),
            masked=finding.masked,
            reason=finding.reason,
            score=finding.score,
            margin=finding.margin,
        )
        for finding in told.findings
    ]
    size = Size(width=told.width, height=told.height)
    return Explained(image=size, threshold=told.threshold, regions=regions, model_version=version)
