"""The routes of generic endpoints beside the Open Inference Protocol: ``/predict`` and ``/v1/endpoints``."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from masking.errors import DeadlineExceeded, EmptyMedia, MediaTooLarge, ModelError
from mlops.generic.tensors import BadInput
from services.asgi.errors import (
    BrokenBody,
    Busy,
    ForeignOrigin,
    NoOverride,
    NotReady,
    SlowBody,
    StrangeHost,
    TooManyRequests,
    UnknownEndpoint,
    UnknownParameter,
    UnknownVariant,
)
from services.asgi.parameters import only
from services.asgi.problems import responses
from services.serving.endpoints import Endpoint
from services.serving.generic.carrier import Carrier
from services.serving.openapi import ID_HEADERS

PROBLEMS: Final = (
    EmptyMedia,
    BrokenBody,
    StrangeHost,
    ForeignOrigin,
    NoOverride,
    UnknownEndpoint,
    SlowBody,
    MediaTooLarge,
    BadInput,
    UnknownParameter,
    UnknownVariant,
    TooManyRequests,
    ModelError,
    NotReady,
    Busy,
    DeadlineExceeded,
)
PREDICT_PATH: Final = "/predict"
ENDPOINT_PATH: Final = "/v1/endpoints/{name}/predict"
EXPLAIN_PATH: Final = "/v1/endpoints/{name}/explain"
Name = Annotated[str, Path(description="Name of the endpoint.")]


class Rows(BaseModel):
    """What predictions are wanted for."""

    features: list[list[float]] = Field(
        description="A row for each prediction wanted; of more dimensions where the model's input has more, "
        "and an object of such arrays by name where it has several inputs."
    )


class Predictions(BaseModel):
    """Predictions, a row for each row of features."""

    predictions: list[Any] = Field(description="The output that is named `predictions` or `label`, else the first.")
    model_version: str
    variant: str
    prediction_id: str
    probabilities: list[Any] | None = Field(default=None, description="The output of that name, if there is one.")


class RowExplanation(BaseModel):
    """What a row's answer hangs on."""

    prediction: float
    score: float = Field(description="Probability of the answer, or the answer itself where the model gives none.")
    effects: list[float] = Field(description="By feature, how much lower the score is without it.")


class Explanations(BaseModel):
    """What the answers hang on, by occlusion."""

    explanations: list[RowExplanation]
    baseline: list[float] = Field(description="What each feature was replaced by: its mean over the model's sample.")
    runs: int = Field(description="Rows that the model has computed for this; an answer alone is one for each row.")
    model_version: str


class EndpointVariant(BaseModel):
    """A variant of an endpoint."""

    name: str
    version: str
    weight: float = Field(
        description="Share of the subjects that it gets; in a rolling release all or none of them here."
    )
    shadow: bool


class EndpointState(BaseModel):
    """An endpoint and who answers there."""

    name: str
    model: str | None = None
    ready: bool
    variants: list[EndpointVariant] = []
    release: str | None = None
    experiment: str | None = None


class EndpointList(BaseModel):
    """All endpoints."""

    endpoints: list[EndpointState]
    default: str


def _body() -> dict[str, Any]:
    schema = Rows.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def predict_router(carrier: Carrier, media: Iterable[Endpoint[Any]], default: str) -> APIRouter:
    """Return the routes.

    Args:
        carrier: Answers the calls.
        media: Endpoints that mask media, which are listed with the others.
        default: Name of the endpoint that ``/predict`` uses.
    """
    router = APIRouter(tags=["predictions"], responses=responses(*PROBLEMS), dependencies=[Depends(only())])
    told: dict[int | str, dict[str, Any]] = {200: {"model": Predictions, "headers": ID_HEADERS}}

    @router.post(PREDICT_PATH, openapi_extra=_body(), responses=told, response_class=Response)
    async def predict(request: Request) -> Response:
        """Ask the endpoint that is the default."""
        return await carrier.carry(request, "predict", default)

    @router.post(ENDPOINT_PATH, openapi_extra=_body(), responses=told, response_class=Response)
    async def predict_at(request: Request, name: Name) -> Response:
        """Ask any generic endpoint."""
        return await carrier.carry(request, "predict", name)

    @router.post(
        EXPLAIN_PATH,
        openapi_extra=_body(),
        responses={200: {"model": Explanations, "headers": ID_HEADERS}},
        response_class=Response,
    )
    async def explain_at(request: Request, name: Name) -> Response:
        """Say which features the answers hang on: a run of the model for each feature of each row."""
        return await carrier.explain(request, name)

    @router.get("/v1/endpoints")
    async def endpoints() -> EndpointList:
        """List the endpoints and who answers there."""
        generic = carrier.predictor.endpoints
        listed = [_state(endpoint) for endpoint in (*media, *(generic[name] for name in sorted(generic)))]
        return EndpointList(endpoints=listed, default=default)

    return router


def _state(endpoint: Endpoint[Any]) -> EndpointState:
    if endpoint.serving() is None:
        return EndpointState(name=endpoint.name, ready=False)
    split = endpoint.champion().split
    variants = [
        EndpointVariant(name=each.name, version=each.version, weight=endpoint.share(split, each), shadow=each.shadow)
        for each in split.variants
    ]
    return EndpointState(
        name=endpoint.name,
        model=split.model,
        ready=True,
        variants=variants,
        release=split.release or None,
        experiment=split.experiment or None,
    )
