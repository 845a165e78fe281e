"""The HTTP routes of the data plane."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from masking.errors import (
    DamagedMedia,
    DeadlineExceeded,
    EmptyMedia,
    MediaTooLarge,
    ModelError,
    PolicyError,
    UnsupportedMedia,
)
from masking.pipeline import Detected
from masking.policy import Policy
from mlops.settings import MaskingSettings
from services.asgi.errors import (
    BrokenBody,
    Busy,
    ForeignOrigin,
    NoOverride,
    NotReady,
    SlowBody,
    StrangeHost,
    UnknownParameter,
    UnknownVariant,
)
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.answer import report_header
from services.serving.endpoints import FACES
from services.serving.openapi import ID_HEADERS, IMAGE_BODY, MASKED_IMAGE
from services.serving.plane import DataPlane
from services.serving.wishes import MANY, Keep, Mask, Search, Style, Threshold, Tone, selection_of

PROBLEMS: Final = responses(
    EmptyMedia,
    BrokenBody,
    StrangeHost,
    ForeignOrigin,
    SlowBody,
    MediaTooLarge,
    UnsupportedMedia,
    DamagedMedia,
    PolicyError,
    UnknownParameter,
    UnknownVariant,
    NoOverride,
    ModelError,
    NotReady,
    Busy,
    DeadlineExceeded,
)


class Size(BaseModel):
    """Size of the upright image in pixels."""

    width: int
    height: int


class Face(BaseModel):
    """One face, as the detector found it, in pixels of the upright image; it may reach over the edges."""

    box: Annotated[list[float], Field(min_length=4, max_length=4, description="x1, y1, x2, y2")]
    score: Annotated[float, Field(ge=0, le=1)]
    landmarks: Annotated[
        list[Annotated[list[float], Field(min_length=2, max_length=2)]],
        Field(min_length=5, max_length=5, description="x, y of right eye, left eye, nose, right and left mouth corner"),
    ]


class Detection(BaseModel):
    """The faces of an image, surest first: exactly those that masking at this threshold covers."""

    image: Size
    faces: list[Face]
    model_version: str


def serving_router(plane: DataPlane, defaults: MaskingSettings) -> APIRouter:
    """Return the routes over a data plane; ``defaults`` is what a request that does not say gets."""
    router = APIRouter(prefix="/v1", tags=["masking"], responses=PROBLEMS)

    @router.post(
        "/mask/image",
        openapi_extra=IMAGE_BODY,
        responses={200: MASKED_IMAGE},
        response_class=Response,
        dependencies=[Depends(only("style", "threshold", "search", "tone", *MANY, many=MANY))],
    )
    async def mask_image(
        request: Request,
        style: Style = defaults.style,
        threshold: Threshold = defaults.threshold,
        search: Search = defaults.search,
        tone: Tone = "drop",
        keep: Keep = [],  # noqa: B006  # FastAPI copies it for each request
        mask: Mask = [],  # noqa: B006
    ) -> Response:
        """Mask every face of an image."""
        policy = Policy(style, threshold, search, selection_of(keep, mask), tone=tone)
        served = await plane.mask(request, policy)
        headers = served.account.headers(FACES) | {
            "X-Faces-Masked": str(served.answer.faces),
            "X-Cache": served.account.cache,
            "X-Mask-Report": report_header(served.answer.report),
        }
        return Response(served.answer.data, media_type=served.answer.media_type, headers=headers)

    @router.post(
        "/detect/image",
        openapi_extra=IMAGE_BODY,
        responses={200: {"headers": ID_HEADERS}},
        dependencies=[Depends(only("threshold", "search", *MANY, many=MANY))],
    )
    async def detect_image(
        request: Request,
        response: Response,
        threshold: Threshold = defaults.threshold,
        search: Search = defaults.search,
        keep: Keep = [],  # noqa: B006
        mask: Mask = [],  # noqa: B006
    ) -> Detection:
        """Find the faces of an image, without masking it."""
        policy = Policy(defaults.style, threshold, search, selection_of(keep, mask))
        found, account = await plane.detect(request, policy)
        headers = account.headers(FACES)
        response.headers.update(headers)
        return _told(found, headers["X-Model-Version"])

    return router


def _told(found: Detected, version: str) -> Detection:
    faces = found.faces
    return Detection(
        image=Size(width=found.width, height=found.height),
        faces=[
            Face(box=box.tolist(), score=float(score), landmarks=landmarks.tolist())
            for box, score, landmarks in zip(faces.boxes, faces.scores, faces.landmarks, strict=True)
        ],
        model_version=version,
    )
