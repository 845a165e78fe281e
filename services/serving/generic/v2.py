"""The Open Inference Protocol V2 over REST, for generic endpoints.

Specification: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. What it
calls a model is an endpoint here. Errors are its own error object, not problem details.
"""

from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from mlops.generic.tensors import Tensor
from services.asgi.app import VERSION
from services.asgi.errors import RequestError, UnknownEndpoint, UnknownVariant
from services.asgi.problems import MEDIA_TYPE
from services.serving.endpoints import Endpoint
from services.serving.generic.calls import BINARY, HEADER_LENGTH, JSON
from services.serving.generic.carrier import Carrier
from services.serving.generic.faults import fault
from services.serving.generic.predictor import Endpoints
from services.serving.generic.v2_words import (
    Fault,
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from services.serving.openapi import BINARY as BINARY_SCHEMA
from services.serving.openapi import ID_HEADERS

SERVER: Final = "identity-masking-stack"
EXTENSIONS: Final = ("binary_tensor_data",)
PLATFORM: Final = "onnx_onnxv1"
INFER_PATH: Final = "/v2/models/{name}/infer"
Name = Annotated[str, Path(description="Name of the endpoint.")]
Version = Annotated[str, Path(description="Version of its model.")]


_FAULT: Final[dict[str, Any]] = {
    "model": Fault,
    "description": "What went wrong; a problem where it was refused before it came here.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
ERRORS: Final[dict[int | str, dict[str, Any]]] = dict.fromkeys(
    (400, 403, 404, 408, 413, 422, 429, 500, 503, 504), _FAULT
)


def _infer_extra() -> dict[str, Any]:
    length = {
        "name": HEADER_LENGTH,
        "in": "header",
        "description": "Length of the JSON where binary tensors follow it.",
        "schema": {"type": "integer", "minimum": 0},
    }
    content = {JSON: {"schema": _schema(InferenceRequest)}, BINARY: {"schema": BINARY_SCHEMA}}
    return {"parameters": [length], "requestBody": {"required": True, "content": content}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON schema with what it refers to in place: no route's own body is in the components."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def placed(value: Any) -> Any:  # noqa: ANN401  # JSON
        if isinstance(value, list):
            return [placed(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return placed(parts[value["$ref"].rsplit("/", 1)[-1]])
        return {key: placed(each) for key, each in value.items()}

    return dict(placed(schema))


def v2_router(carrier: Carrier) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=ERRORS)
    _add_server(router, carrier.predictor.endpoints)
    _add_models(router, carrier.predictor.endpoints)
    _add_inference(router, carrier)
    return router


def _add_server(router: APIRouter, endpoints: Endpoints) -> None:
    @router.get("/", include_in_schema=False)
    @router.get("")
    async def server_metadata() -> ServerMetadata:
        """Say what this server is."""
        return ServerMetadata(name=SERVER, version=VERSION, extensions=list(EXTENSIONS))

    @router.get("/health/live")
    async def server_live() -> ServerLive:
        """Say that the server runs."""
        return ServerLive(live=True)

    @router.get("/health/ready", response_model=ServerReady, responses={503: {"model": ServerReady}})
    async def server_ready() -> Response:
        """Say whether all generic endpoints can answer."""
        ready = all(endpoint.serving() is not None for endpoint in endpoints.values())
        return JSONResponse({"ready": ready}, 200 if ready else 503)


def _add_models(router: APIRouter, endpoints: Endpoints) -> None:
    not_yet: dict[int | str, dict[str, Any]] = {503: {"model": ModelReady}}

    @router.get("/models/{name}", response_model=ModelMetadata)
    async def model_metadata(name: Name) -> Response:
        """Say what an endpoint takes and gives."""
        return _metadata(endpoints.get(name), None)

    @router.get("/models/{name}/versions/{version}", response_model=ModelMetadata)
    async def version_metadata(name: Name, version: Version) -> Response:
        """Say what a version that answers at an endpoint takes and gives."""
        return _metadata(endpoints.get(name), version)

    @router.get("/models/{name}/ready", response_model=ModelReady, responses=not_yet)
    async def model_ready(name: Name) -> Response:
        """Say whether an endpoint can answer."""
        return _ready(name, endpoints.get(name), None)

    @router.get("/models/{name}/versions/{version}/ready", response_model=ModelReady, responses=not_yet)
    async def version_ready(name: Name, version: Version) -> Response:
        """Say whether a version can answer at an endpoint."""
        return _ready(name, endpoints.get(name), version)


def _add_inference(router: APIRouter, carrier: Carrier) -> None:
    answer: dict[int | str, dict[str, Any]] = {
        200: {
            "model": InferenceResponse,
            "content": {BINARY: {"schema": BINARY_SCHEMA}},
            "headers": {**ID_HEADERS, HEADER_LENGTH: {"schema": {"type": "integer"}, "required": False}},
        }
    }

    @router.post("/models/{name}/infer", openapi_extra=_infer_extra(), responses=answer, response_class=Response)
    async def infer(request: Request, name: Name) -> Response:
        """Run an endpoint's model; which version answers is up to the endpoint's traffic."""
        return await carrier.carry(request, "infer", name)

    @router.post(
        "/models/{name}/versions/{version}/infer",
        openapi_extra=_infer_extra(),
        responses=answer,
        response_class=Response,
    )
    async def infer_version(request: Request, name: Name, version: Version) -> Response:
        """Run a version that answers at an endpoint: the champion's, or another for those who may pick a variant."""
        return await carrier.carry(request, "infer", name, version)


def _versions(endpoint: Endpoint[Any]) -> dict[str, Any]:
    """Return the models that answer at an endpoint by version, the champion's first."""
    found = {}
    for variant in endpoint.champion().split.variants:
        # A variant whose model is not there, or a shadow, answers nobody.
        with suppress(UnknownVariant):
            model = endpoint.choose("", variant.name).model
            found[model.version] = model
    return found


def _metadata(endpoint: Endpoint[Any] | None, version: str | None) -> Response:
    try:
        if endpoint is None:
            raise UnknownEndpoint("no such model here")
        models = _versions(endpoint)
        model = endpoint.current() if version is None else models.get(version)
        if model is None:
            raise UnknownEndpoint("no such version answers here")
    except RequestError as error:
        told = fault(error, "infer", "")
        return Response(told.body, told.status, dict(told.headers), told.media_type)
    content = ModelMetadata(
        name=endpoint.name,
        versions=list(models) if version is None else [version],
        platform=PLATFORM,
        inputs=[_tensor(tensor) for tensor in model.inputs],
        outputs=[_tensor(tensor) for tensor in model.outputs],
    )
    return JSONResponse(content.model_dump())


def _tensor(tensor: Tensor) -> TensorMetadata:
    return TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=list(tensor.shape))


def _ready(name: str, endpoint: Endpoint[Any] | None, version: str | None) -> Response:
    if endpoint is None:
        told = fault(UnknownEndpoint("no such model here"), "infer", "")
        return Response(told.body, told.status, dict(told.headers), told.media_type)
    ready = endpoint.serving() is not None and (version is None or version in _versions(endpoint))
    return JSONResponse({"name": name, "ready": ready}, 200 if ready else 503)
