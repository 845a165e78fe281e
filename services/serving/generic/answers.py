"""Answers written: the predictions, or an inference response with its outputs as JSON or as bytes."""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import Array, Tensor
from services.serving.generic.calls import Asked

PREDICTIONS: Final = ("predictions", "label", "output_label", "variable")
"""Names of outputs that are the prediction itself, as people and converters call them; else it is the first."""
PROBABILITIES: Final = ("probabilities", "output_probability")
KEPT_TEXTS: Final = 256
_HOLE: Final = msgspec.Raw(b"\0")
"""Stands where values will be."""
_encode: Final = msgspec.json.Encoder().encode


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
    data: list[Any] | msgspec.Raw | None = None


class InferenceAnswer(msgspec.Struct, omit_defaults=True, gc=False):
    """An inference response."""

    model_name: str
    model_version: str
    outputs: list[AnswerTensor]
    id: str | None = None


@lru_cache(KEPT_TEXTS)
def _texts(
    endpoint: str, version: str, outputs: tuple[Tensor, ...], shapes: tuple[tuple[int, ...], ...]
) -> list[bytes]:
    """Return the texts before, between and after the values of an inference response, brackets and all."""
    pairs = zip(outputs, shapes, strict=True)
    told = [AnswerTensor(tensor.name, tensor.datatype, list(shape), None, _HOLE) for tensor, shape in pairs]
    # JSON has no such byte anywhere: in a name it would be written as an escape.
    first, *others = _encode(InferenceAnswer(endpoint, version, told)).split(bytes(_HOLE))
    return [first + b"[", *[b"]" + text + b"[" for text in others[:-1]], b"]" + others[-1]]


def _values_of(rows: list[Any]) -> list[bytes]:
    """Return rows of numbers, or numbers that are rows, each as what a JSON list has between its brackets."""
    text = _encode(rows)
    if isinstance(rows[0], list):
        # Nothing but numbers is in there, so that no bracket is part of anything.
        return text[2:-2].split(b"],[")
    return text[1:-1].split(b",")


class Outputs:
    """The outputs of one run, of which each request gets its rows.

    Args:
        model: What ran.
        inputs: What it was given, by name.
        arrays: What it gave.
    """

    def __init__(self, model: GenericModel, inputs: Mapping[str, Array], arrays: Sequence[Array]) -> None:
        self.model = model
        self.inputs = inputs
        self.arrays = arrays
        self._bodies: dict[str, list[bytes] | None] = {}

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

    def bodies(self, endpoint: str) -> list[bytes] | None:
        """Return the inference responses of all rows, each about one; None where there is not one part for each row.

        Nearly all of their text is the same, and the values are written in one go for all of them.
        """
        if endpoint not in self._bodies:
            self._bodies[endpoint] = self._written(endpoint)
        return self._bodies[endpoint]

    def _written(self, endpoint: str) -> list[bytes] | None:
        rows = len(self.arrays[0]) if self.arrays[0].ndim else 0
        if not all(array.ndim and array.size and len(array) == rows for array in self.arrays):
            return None
        shapes = tuple((1, *array.shape[1:]) for array in self.arrays)
        first, *texts = _texts(endpoint, self.model.version, self.model.outputs, shapes)
        columns: list[Sequence[bytes]] = [[first] * rows]
        for values, text in zip(self.flat_rows, texts, strict=True):
            columns += (_values_of(values), [text] * rows)
        return [b"".join(parts) for parts in zip(*columns, strict=True)]


class Share(msgspec.Struct, gc=False):
    """The rows of a run that are one request's; ``stop`` is None for all."""

    outputs: Outputs
    start: int = 0
    stop: int | None = None

    def array(self, place: int) -> Array:
        """Return this request's part of an output."""
        array = self.outputs.arrays[place]
        return array if self.stop is None else array[self.start : self.stop]

    def given(self, name: str) -> Array:
        """Return this request's part of an input."""
        array = self.outputs.inputs[name]
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
    return _encode(answer)


def first_and_probabilities(outputs: tuple[Tensor, ...]) -> tuple[int, int | None]:
    """Return which output is the prediction itself, and which its probabilities, if any."""
    names = {tensor.name: place for place, tensor in enumerate(outputs)}
    first = next((names[name] for name in PREDICTIONS if name in names), 0)
    return first, next((names[name] for name in PROBABILITIES if names.get(name, first) != first), None)


def inference(share: Share, asked: Asked, endpoint: str) -> tuple[bytes, int | None]:
    """Return the body of an inference response, and the length of its JSON where bytes follow it."""
    if asked.outputs is None and asked.identity is None and asked.rows == 1:
        bodies = share.outputs.bodies(endpoint)
        if bodies is not None and (share.stop is not None or len(bodies) == 1):
            return bodies[share.start], None
    return _of_any(share, asked, endpoint)


def _of_any(share: Share, asked: Asked, endpoint: str) -> tuple[bytes, int | None]:
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
    head = _encode(InferenceAnswer(endpoint, share.outputs.model.version, told, asked.identity))
    return (head + b"".join(tail), len(head)) if tail else (head, None)
