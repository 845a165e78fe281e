"""Bodies of requests read: ``{"features": …}``, and the Open Inference Protocol V2 with its binary tensor extension.

Open Inference Protocol, REST: https://github.com/kserve/open-inference-protocol (specification/protocol); binary tensor
data extension: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol. No text of an error
quotes what was sent.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import Array, BadInput, Tensor
from services.serving.generic.arrays import UNPACKABLE, as_array, packed, packing
from services.serving.generic.calls import Asked, Call

T = TypeVar("T")
ELEMENTS: Final[dict[str, type]] = {"b": bool, "i": int, "u": int, "f": float}
"""What JSON has for each kind of NumPy type."""
SPACES: Final = b" \t\r\n"
NOTHING: Final = memoryview(b"")
LENGTH_DIGITS: Final = 18
"""Most digits of the length of a JSON."""
KEPT_PLANS: Final = 256
"""Models whose ways of reading are remembered."""


class Features(msgspec.Struct, Generic[T], gc=False):
    """The body of ``/predict``."""

    features: T


class InputTensor(msgspec.Struct, Generic[T], gc=False):
    """An input of an inference request."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    parameters: dict[str, Any] = {}
    data: T | msgspec.UnsetType = msgspec.UNSET


class OutputTensor(msgspec.Struct, gc=False):
    """An output that an inference request asks for."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct, Generic[T], gc=False):
    """An inference request."""

    inputs: list[InputTensor[T]]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[OutputTensor] | None = None


_INFERENCE: Final = msgspec.json.Decoder(Inference[msgspec.Raw])


def read(call: Call, model: GenericModel) -> Asked:
    """Return what a call asks of a model.

    Raises:
        BadInput: It is not what the model takes.
    """
    try:
        return _features(call.body, model) if call.kind == "predict" else _inference(call, model)
    except msgspec.ValidationError as error:
        # Where and which type; msgspec names no value and, with no closed sets here, no text of the input.
        raise BadInput(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadInput("the body is no JSON") from None


@cache
def _nested(kind: str, depth: int) -> type:
    element: Any = ELEMENTS[kind]
    for _ in range(depth):
        element = list[element]
    return element  # type: ignore[no-any-return]


@cache
def _features_decoder(kinds: tuple[tuple[str, str, int], ...]) -> msgspec.json.Decoder[Features[Any]]:
    if len(kinds) == 1:
        return msgspec.json.Decoder(Features[_nested(*kinds[0][1:])])  # type: ignore[misc]
    fields = [(f"of_{place}", _nested(*each[1:])) for place, each in enumerate(kinds)]
    names = {f"of_{place}": each[0] for place, each in enumerate(kinds)}
    return msgspec.json.Decoder(Features[msgspec.defstruct("Inputs", fields, rename=names)])  # type: ignore[misc]


@cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_nested(kind, depth))


def _features(body: bytes, model: GenericModel) -> Asked:
    tensors = model.inputs
    kinds = tuple((tensor.name, tensor.dtype.kind, len(tensor.shape)) for tensor in tensors)
    read_features = _features_decoder(kinds).decode(body).features
    if len(tensors) == 1:
        inputs = {tensors[0].name: read_features}
    else:
        inputs = {tensor.name: getattr(read_features, f"of_{place}") for place, tensor in enumerate(tensors)}
    rows = _rows_of(inputs, tensors)
    return Asked({tensor.name: packed(inputs[tensor.name], tensor) for tensor in tensors}, rows)


def _rows_of(inputs: dict[str, Any], tensors: tuple[Tensor, ...]) -> int:
    rows = -1
    for tensor in tensors:
        if tensor.free_rows:
            size = len(inputs[tensor.name])
            if rows not in (-1, size):
                raise BadInput("all inputs must have the same number of rows")
            rows = size
    if rows == 0:
        raise BadInput("there are no rows")
    return abs(rows)


class _Row(NamedTuple):
    """An input with one row: its name, type and shape, and what makes its bytes."""

    name: str
    datatype: str
    shape: list[int]
    pack: Callable[..., bytes]


class _Plan(msgspec.Struct, frozen=True):
    """How the requests to a model are read.

    Attributes:
        inputs: The model's inputs, for which it was made.
        tensors: The same by name.
        flat: Reads requests whose data are flat lists of the one type that all inputs have; None where they differ.
        row: The one input with one row, of a model that takes rows of a certain length.
    """

    inputs: tuple[Tensor, ...]
    tensors: dict[str, Tensor]
    flat: msgspec.json.Decoder[Inference[Any]] | None
    row: _Row | None


_PLANS: Final[dict[int, _Plan]] = {}


def _planned(inputs: tuple[Tensor, ...]) -> _Plan:
    if len(_PLANS) >= KEPT_PLANS:
        _PLANS.clear()
    kinds = {tensor.dtype.kind for tensor in inputs}
    flat = _flat_decoder(kinds.pop()) if len(kinds) == 1 else None
    tensors = {tensor.name: tensor for tensor in inputs}
    plan = _PLANS[id(inputs)] = _Plan(inputs, tensors, flat, _row_of(inputs))
    return plan


def _row_of(inputs: tuple[Tensor, ...]) -> _Row | None:
    first = inputs[0]
    pack = packing(first) if len(inputs) == 1 else None
    return None if pack is None else _Row(first.name, first.datatype, [1, first.shape[1]], pack)


@cache
def _flat_decoder(kind: str) -> msgspec.json.Decoder[Inference[Any]]:
    return msgspec.json.Decoder(Inference[_nested(kind, 1)])  # type: ignore[misc]


def _inference(call: Call, model: GenericModel) -> Asked:
    # By identity, since hashing what is in there would take longer than reading a request.
    plan = _PLANS.get(id(model.inputs))
    if plan is None or plan.inputs is not model.inputs:
        plan = _planned(model.inputs)
    head, tail = (call.body, NOTHING) if call.header_length is None else _parts(call)
    try:
        # Most requests give flat lists, which are read in one go; others are read once more, as they come.
        request: Inference[Any] = (plan.flat or _INFERENCE).decode(head)
    except msgspec.ValidationError:
        request = _INFERENCE.decode(head)
    if plan.row is not None and call.header_length is None and (one := _one_row(request, plan.row)) is not None:
        return one
    inputs: dict[str, Any] = {}
    for given in request.inputs:
        tensor = plan.tensors.get(given.name)
        if tensor is None or given.name in inputs:
            raise _unlike(plan)
        inputs[given.name], tail = _values(given, tensor, tail)
    if len(inputs) != len(plan.inputs):
        raise _unlike(plan)
    if tail:
        raise BadInput("the body has more binary data than the inputs say")
    wanted = None if request.outputs is None and not request.parameters else _wanted(request, model)
    return Asked(inputs, _rows_of(inputs, plan.inputs), request.id, wanted)


def _one_row(request: Inference[Any], row: _Row) -> Asked | None:
    """Return what is asked for by a request for one row that asks for nothing else; None of any other request.

    Nothing is decided here: what this lets through is what the checks of all other requests would let through.
    """
    if request.parameters or request.outputs is not None or len(request.inputs) != 1:
        return None
    given = request.inputs[0]
    name, datatype, shape, pack = row
    if given.shape != shape or given.name != name or given.datatype != datatype or given.parameters:
        return None
    if type(given.data) is not list or len(given.data) != shape[1]:
        return None
    try:
        # At once, not with those of other requests: so few numbers are in memory at one time that it stays near.
        return Asked({name: pack(*given.data)}, 1, request.id)
    except UNPACKABLE:
        return None


def _unlike(plan: _Plan) -> BadInput:
    return BadInput(f"the inputs are {', '.join(repr(name) for name in plan.tensors)}")


def json_bytes(call: Call) -> int:
    """Return how much of a call's body is JSON.

    Raises:
        BadInput: The header that says so is no length within the body.
    """
    length = call.header_length
    if length is None:
        return len(call.body)
    # Not too many digits first: Python refuses to read thousands of them, by another error.
    if not (length.isascii() and length.isdigit() and len(length) <= LENGTH_DIGITS) or int(length) > len(call.body):
        raise BadInput("Inference-Header-Content-Length is no length within the body")
    return int(length)


def _parts(call: Call) -> tuple[bytes, memoryview]:
    """Return the JSON of the request and the binary data after it."""
    length = json_bytes(call)
    return call.body[:length], memoryview(call.body)[length:]


def _values(given: InputTensor[Any], tensor: Tensor, tail: memoryview) -> tuple[Any, memoryview]:
    if given.datatype != tensor.datatype:
        raise BadInput(f"input {tensor.name!r} must have type {tensor.datatype}")
    if not tensor.takes(given.shape):
        raise BadInput(f"input {tensor.name!r} must have shape {list(tensor.shape)}, -1 standing for any size")
    size = given.parameters.get("binary_data_size")
    if size is None:
        return _from_json(given, tensor), tail
    wanted = prod(given.shape) * tensor.dtype.itemsize
    if size is True or size != wanted or len(tail) < wanted or given.data is not msgspec.UNSET:
        raise BadInput(f"input {tensor.name!r} must have the bytes of its shape and type, and no data beside them")
    return _from_bytes(tail[:wanted], given.shape, tensor), tail[wanted:]


def _from_json(given: InputTensor[Any], tensor: Tensor) -> Any:  # noqa: ANN401  # see `Asked`
    if given.data is msgspec.UNSET:
        raise BadInput(f"input {tensor.name!r} has no data")
    kind, depth, shape = tensor.dtype.kind, len(given.shape), given.shape
    if isinstance(given.data, list):
        flat = given.data
    else:
        text = bytes(given.data)
        if depth > 1 and text[1:].lstrip(SPACES)[:1] == b"[":
            array = as_array(_decoder(kind, depth).decode(text), tensor)
            if list(array.shape) != shape:
                raise BadInput(f"the data of input {tensor.name!r} do not have the shape that is given")
            return array
        flat = _decoder(kind, 1).decode(text)
    if len(flat) != prod(shape):
        raise BadInput(f"input {tensor.name!r} must have as many values as its shape")
    if depth == 2 and shape[0] == 1:
        # One row: it becomes an array together with those of other requests.
        return packed([flat], tensor)
    return as_array(flat, Tensor(tensor.name, tensor.datatype, (len(flat),))).reshape(shape)


def _from_bytes(data: memoryview, shape: list[int], tensor: Tensor) -> Array:
    if tensor.datatype == "BOOL" and any(byte > 1 for byte in data):
        raise BadInput(f"input {tensor.name!r} must have bytes of 0 and 1")
    return np.frombuffer(data, tensor.dtype.newbyteorder("<")).reshape(shape).astype(tensor.dtype, copy=False)


def _wanted(request: Inference[Any], model: GenericModel) -> dict[str, bool] | None:
    binary = request.parameters.get("binary_data_output", False) is True
    if request.outputs is None:
        return {tensor.name: True for tensor in model.outputs} if binary else None
    names = {tensor.name for tensor in model.outputs}
    if not {each.name for each in request.outputs} <= names:
        raise BadInput(f"the outputs are {', '.join(repr(tensor.name) for tensor in model.outputs)}")
    return {each.name: each.parameters.get("binary_data", binary) is True for each in request.outputs}
