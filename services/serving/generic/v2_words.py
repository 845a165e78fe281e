"""The words of the Open Inference Protocol V2, for the OpenAPI document and for answers without tensors."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

Parameters = dict[str, str | int | float | bool]


class Fault(BaseModel):
    """What went wrong."""

    error: str


class ServerLive(BaseModel):
    """The server runs."""

    live: bool


class ServerReady(BaseModel):
    """All endpoints can answer."""

    ready: bool


class ModelReady(BaseModel):
    """An endpoint can answer."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """What this server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """An input or output; -1 is a dimension of any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives, by its MLflow signature."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel):
    """An input of a request."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    datatype: str
    parameters: Parameters = Field(default={}, description="`binary_data_size` in place of data.")
    data: list[Any] | None = None


class WantedTensor(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: Parameters = Field(default={}, description="`binary_data`: true to have it as bytes.")


class InferenceRequest(BaseModel):
    """An inference request."""

    id: str | None = None
    parameters: Parameters = Field(default={}, description="`binary_data_output`: true to have all outputs as bytes.")
    inputs: list[InputTensor]
    outputs: list[WantedTensor] | None = None


class OutputTensor(BaseModel):
    """An output."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """An inference response."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
