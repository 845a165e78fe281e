"""Answers written: the predictions, or an inference response with its outputs as JSON or as bytes."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import Array, Tensor
from services.serving.generic.calls import Asked

PREDICTIONS: Final = ("predictions", "label", "output_label", "variable")
"""Names of outputs that are the prediction itself, as people and converters call them; else it is the first."""
PROBABILITIES: Final = ("probabilities", "output_probability")
_ENCODER: Final = msgspec.json.Encoder()


class PredictAnswer(msgspec.Struct, omit_defaults=True, gc=False):
    """The answer of ``/predict``."""

    predictions: list[Any]
    model_version: str
    variant: str
    prediction_id: str
    probabilities: list[Any] | None = None


class AnswerTensor(msgspec.Struct, omit_defaults=True, gc=False):
    """An output of an inference response."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferenceAnswer(msgspec.Struct, omit_defaults=True, gc=False):
    """An inference response."""

    model_name: str
    model_version: str
    outputs: list[AnswerTensor]
    id: str | None = None


class Outputs:
    """The outputs of one run, of which each request gets its rows.

    Args:
        model: What ran.
        arrays: What it gave.
    """

    def __init__(self, model: GenericModel, arrays: Sequence[Array]) -> None:
        self.model = model
        self.arrays = arrays

    @cached_property
    def nested(self) -> list[list[Any]]:
        """Each output as nested lists."""
        return [array.tolist() if array.ndim else [array.item()] for array in self.arrays]

    @cached_property
    def flat_rows(self) -> list[list[Any]]:
        """Each output as a list of rows that are flat."""
        return [
            array.reshape(len(array), -1).tolist() if array.ndim > 2 else nested
            for array, nested in zip(self.arrays, self.nested, strict=True)
        ]


class Share(msgspec.Struct, gc=False):
    """The rows of a run that are one request's; ``stop`` is None for all."""

    outputs: Outputs
    start: int = 0
    stop: int | None = None

    def array(self, place: int) -> Array:
        """Return this request's part of an output."""
        array = self.outputs.arrays[place]
        return array if self.stop is None else array[self.start : self.stop]

    def nested(self, place: int) -> list[Any]:
        """Return it as nested lists."""
        return self.outputs.nested[place][self.start : self.stop]

    def flat(self, place: int) -> list[Any]:
        """Return it as one flat list."""
        rows = self.outputs.flat_rows[place][self.start : self.stop]
        if self.outputs.arrays[place].ndim < 2:
            return rows
        if len(rows) == 1:
            return rows[0]  # type: ignore[no-any-return]
        return [value for row in rows for value in row]


def predictions(share: Share, variant: str, identity: str) -> bytes:
    """Return the body of an answer of ``/predict``."""
    model = share.outputs.model
    first, beside = first_and_probabilities(model.outputs)
    answer = PredictAnswer(share.nested(first), model.version, variant, identity)
    if beside is not None:
        answer.probabilities = share.nested(beside)
    return _ENCODER.encode(answer)


def first_and_probabilities(outputs: tuple[Tensor, ...]) -> tuple[int, int | None]:
    """Return which output is the prediction itself, and which its probabilities, if any."""
    names = {tensor.name: place for place, tensor in enumerate(outputs)}
    first = next((names[name] for name in PREDICTIONS if name in names), 0)
    return first, next((names[name] for name in PROBABILITIES if names.get(name, first) != first), None)


def inference(share: Share, asked: Asked, endpoint: str) -> tuple[bytes, int | None]:
    """Return the body of an inference response, and the length of its JSON where bytes follow it."""
    told: list[AnswerTensor] = []
    tail: list[bytes] = []
    for place, tensor in enumerate(share.outputs.model.outputs):
        if asked.outputs is not None and tensor.name not in asked.outputs:
            continue
        array = share.array(place)
        output = AnswerTensor(tensor.name, tensor.datatype, list(array.shape))
        if asked.outputs is not None and asked.outputs[tensor.name]:
            data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            output.parameters = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            output.data = share.flat(place)
        told.append(output)
    head = _ENCODER.encode(InferenceAnswer(endpoint, share.outputs.model.version, told, asked.identity))
    return (head + b"".join(tail), len(head)) if tail else (head, None)
