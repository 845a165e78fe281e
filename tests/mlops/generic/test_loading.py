import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from masking.onnx import open_session
from mlops.generic.loading import GenericModelError, load_generic
from mlops.generic.tensors import BadInput

EXP = [onnx.helper.make_node("Exp", ["x"], ["y"])]
MIXING = [onnx.helper.make_node("Softmax", ["x"], ["y"], axis=0)]


def spec(name: str, dtype: str = "float32", shape: tuple[int, ...] = (-1, 4)) -> dict[str, Any]:
    return {"type": "tensor", "name": name, "tensor-spec": {"dtype": dtype, "shape": shape}}


def signed(*inputs: dict[str, Any], outputs: list[dict[str, Any]] | None = None) -> str:
    # As MLflow writes it: lists as text within the object.
    out = None if outputs is None else json.dumps(outputs)
    return json.dumps({"inputs": json.dumps(inputs), "outputs": out, "params": None})


SIGNED = signed(spec("x"), outputs=[spec("y")])


def golden(sample: Any, outputs: Any) -> dict[str, Any]:
    return {"input/x": sample, "output/y": outputs}


def test_a_model_is_opened_tested_and_timed(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any
) -> None:
    model = load_generic(write(graph(EXP), SIGNED, golden(sample, np.exp(sample))), open_session)
    assert (model.name, model.version, model.precision) == ("m", "1", "fp32")
    assert model.cost.batches
    assert 0 < model.cost.seconds(1) <= model.cost.seconds(100)
    np.testing.assert_allclose(model.run({"x": sample})[0], np.exp(sample), rtol=1e-6)


def test_a_graph_that_mixes_rows_never_shares_runs(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any
) -> None:
    """Softmax over the batch: what stands beside a row would change its answer."""
    shares = np.exp(sample) / np.exp(sample).sum(axis=0)
    model = load_generic(write(graph(MIXING), SIGNED, golden(sample, shares)), open_session)
    assert not model.cost.batches


def test_a_graph_of_one_size_never_shares_runs(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any
) -> None:
    one = signed(spec("x", shape=(1, 4)), outputs=[spec("y", shape=(1, 4))])
    model = load_generic(write(graph(EXP, 1), one, golden(sample[:1], np.exp(sample[:1]))), open_session)
    assert not model.cost.batches
    with pytest.raises(BadInput):
        model.check({"x": sample})


@pytest.mark.parametrize(
    "signature",
    [
        "{",
        "[]",
        "{}",
        signed(),
        signed(spec("z"), outputs=[spec("y")]),
        signed(spec("x"), spec("z"), outputs=[spec("y")]),
        signed(spec("x", "float64"), outputs=[spec("y")]),
        signed(spec("x", "str"), outputs=[spec("y")]),
        signed(spec("x", shape=(-1, 5)), outputs=[spec("y")]),
        signed(spec("x", shape=(-1,)), outputs=[spec("y")]),
        signed(spec("x"), outputs=[spec("other")]),
        signed({"type": "string", "name": "a"}, {"type": "double", "name": "b"}),
        signed({"type": "double", "name": "a"}, {"type": "double", "name": "b"}),
    ],
)
def test_a_signature_that_is_not_the_graphs_is_refused(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any, signature: str
) -> None:
    with pytest.raises(GenericModelError):
        load_generic(write(graph(EXP), signature, golden(sample, np.exp(sample))), open_session)


@pytest.mark.parametrize(
    "signature",
    [
        SIGNED,
        signed(spec("x")),
        signed({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}),
        signed(*({"type": "double", "name": name} for name in "abcd")),
        json.dumps({"inputs": [spec("x")], "outputs": [spec("y")]}),
    ],
)
def test_signatures_as_mlflow_writes_them_are_read(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any, signature: str
) -> None:
    model = load_generic(write(graph(EXP), signature, golden(sample, np.exp(sample))), open_session)
    assert [(each.name, each.datatype, each.shape) for each in model.inputs] == [("x", "FP32", (-1, 4))]
    assert [(each.name, each.shape) for each in model.outputs] == [("y", (-1, 4))]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda sample: {"input/x": sample, "output/y": np.exp(sample) + 0.2},
        lambda sample: {"input/x": sample, "output/y": np.exp(sample)[:2]},
        lambda sample: {"input/x": sample, "output/y": np.exp(sample).astype(np.float64)},
        lambda sample: {"input/x": sample, "output/y": np.full_like(sample, np.nan)},
        lambda sample: {"input/x": sample.astype(np.float64), "output/y": np.exp(sample)},
        lambda sample: {"input/x": sample},
        lambda sample: {"output/y": sample},
    ],
)
def test_a_model_that_does_not_give_its_golden_outputs_is_refused(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any, wrong: Callable[[Any], Any]
) -> None:
    with pytest.raises(GenericModelError):
        load_generic(write(graph(EXP), SIGNED, wrong(sample)), open_session)


def test_another_architecture_is_refused(write: Callable[..., Any], graph: Callable[..., bytes], sample: Any) -> None:
    with pytest.raises(GenericModelError):
        load_generic(write(graph(EXP), SIGNED, golden(sample, np.exp(sample)), "centerface"), open_session)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"z": np.zeros((1, 4), np.float32)},
        {"x": np.zeros((1, 4))},
        {"x": np.zeros((1, 5), np.float32)},
        {"x": np.zeros(4, np.float32)},
    ],
)
def test_inputs_that_the_signature_does_not_know_are_refused(
    write: Callable[..., Any], graph: Callable[..., bytes], sample: Any, inputs: dict[str, Any]
) -> None:
    model = load_generic(write(graph(EXP), SIGNED, golden(sample, np.exp(sample))), open_session)
    assert model.check({"x": sample}) == len(sample)
    with pytest.raises(BadInput):
        model.check(inputs)
