"""Answers about one row are written in one go for all who share a run; each must be what it would be alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops.generic.cost import Cost
from mlops.generic.loading import GenericModel
from mlops.generic.tensors import FREE, Tensor
from services.serving.generic.answers import Outputs, Share, inference
from services.serving.generic.calls import Asked

TYPES = {"FP32": "float32", "FP64": "float64", "INT64": "int64", "UINT8": "uint8", "BOOL": "bool"}


def model(outputs: tuple[Tensor, ...], version: str = "1") -> GenericModel:
    cost: Any = Cost(0.0, 0.0, batches=True)
    session: Any = None
    return GenericModel("demo", version, "fp32", "", (), outputs, cost, {}, session)


@st.composite
def runs(draw: st.DrawFn) -> tuple[tuple[Tensor, ...], list[np.ndarray]]:
    rows = draw(st.integers(1, 5))
    outputs, found = [], []
    for place in range(draw(st.integers(1, 3))):
        datatype = draw(st.sampled_from(sorted(TYPES)))
        shape = draw(st.sampled_from([(), (1,), (3,), (2, 2), (0,)]))
        name = draw(st.text(max_size=4)) + str(place)
        outputs.append(Tensor(name, datatype, (FREE, *shape)))
        found.append(draw(arrays(TYPES[datatype], (rows, *shape))))
    return tuple(outputs), found


@settings(max_examples=150, deadline=None)
@given(run=runs(), endpoint=st.text(min_size=1, max_size=5), version=st.text(max_size=3))
def test_each_gets_what_it_would_get_alone(
    run: tuple[tuple[Tensor, ...], list[np.ndarray]], endpoint: str, version: str
) -> None:
    tensors, found = run
    outputs = Outputs(model(tensors, version), {}, found)
    # Whoever names the outputs is answered by himself.
    named = {tensor.name: False for tensor in tensors}
    for place in range(len(found[0])):
        share = Share(outputs, place, place + 1)
        alone = Share(Outputs(model(tensors, version), {}, [array[place : place + 1] for array in found]))
        wanted = inference(alone, Asked({}, 1, None, named), endpoint)
        assert inference(share, Asked({}, 1), endpoint) == wanted
        assert inference(alone, Asked({}, 1), endpoint) == wanted


@pytest.mark.parametrize("array", [np.float32(0.5), np.arange(6).reshape(2, 3), np.arange(4.0)])
def test_outputs_that_are_no_rows_are_told_whole(array: Any) -> None:
    tensors = (Tensor("whole", "FP64", array.shape),)
    share = Share(Outputs(model(tensors), {}, [np.asarray(array)]))
    assert inference(share, Asked({}, 1), "demo") == inference(share, Asked({}, 1, None, {"whole": False}), "demo")
