"""Which features an answer hangs on: each is replaced by what is usual, and what that changes is told.

Occlusion (Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014) on rows of features. It
says what this model would have answered, not what is true of the world; features that go together hide each other.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from mlops.generic.loading import GenericModel
from mlops.generic.tensors import Array, BadInput
from services.serving.generic.answers import first_and_probabilities

MOST_RUNS: Final = 4096
"""Rows that one explanation may have the model compute."""


class Explanation(msgspec.Struct, gc=False):
    """What a row's answer hangs on.

    Attributes:
        prediction: The answer.
        score: The number that is followed: the probability of the answer, or the answer itself where it is a number.
        effects: By feature, how much lower the score is without it.
    """

    prediction: float
    score: float
    effects: list[float]


class Explained(msgspec.Struct, gc=False):
    """Explanations of rows, and what they cost.

    Attributes:
        explanations: One for each row.
        baseline: What each feature was replaced by: its mean over the sample that the model was registered with.
        runs: How many rows the model has computed for this; an answer alone is one for each row.
        model_version: Version of the model.
    """

    explanations: list[Explanation]
    baseline: list[float]
    runs: int
    model_version: str


def runs_of(model: GenericModel, rows: int) -> int:
    """Return how many rows the model computes to explain so many; at most `MOST_RUNS`, more are refused."""
    width = int(np.atleast_2d(model.sample[model.inputs[0].name]).shape[1])
    return min(MOST_RUNS, rows * (width + 1))


def explain(model: GenericModel, inputs: Mapping[str, Array]) -> Explained:
    """Return what the answers for inputs that were checked hang on.

    Raises:
        BadInput: The model takes something else than rows of numbers, or it would have to compute too many.
    """
    tensor = model.inputs[0]
    if len(model.inputs) != 1 or len(tensor.shape) != 2 or tensor.dtype.kind != "f" or not tensor.free_rows:
        raise BadInput("only models that take rows of numbers can be explained")
    name, features = tensor.name, inputs[tensor.name]
    count, width = features.shape
    if count * (width + 1) > MOST_RUNS:
        raise BadInput(f"at most {MOST_RUNS // (width + 1)} rows of this model are explained at a time")
    baseline = model.sample[name].mean(axis=0).astype(features.dtype)
    # One copy of each row as it is, then one without each feature.
    copies = np.repeat(features[:, None], width + 1, axis=1)
    places = np.arange(width)
    copies[:, places + 1, places] = baseline
    outputs = model.run({name: np.ascontiguousarray(copies.reshape(-1, width))})
    first, beside = first_and_probabilities(model.outputs)
    answers = outputs[first].reshape(count, width + 1, -1)[:, :, 0]
    if beside is None:
        scores = answers.astype(np.float64)
    else:
        shares = outputs[beside].reshape(count, width + 1, -1)
        scores = np.take_along_axis(shares, shares[:, :1].argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    told = [
        Explanation(float(answer[0]), float(score[0]), (score[0] - score[1:]).tolist())
        for answer, score in zip(answers, scores.astype(np.float64), strict=True)
    ]
    return Explained(told, baseline.tolist(), count * (width + 1), model.version)
