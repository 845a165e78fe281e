"""The graph says what it is, and is as small as it may be."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from masking.voice.loading import open_graph
from pipelines.voice.network.graph import described, in_halves


def graph(weights: np.ndarray) -> onnx.ModelProto:
    value, real = helper.make_tensor_value_info, TensorProto.FLOAT
    nodes = [
        helper.make_node("MatMul", ["mel", "weights"], ["envelope"]),
        helper.make_node("ReduceMean", ["mel"], ["voicing"], axes=[2], keepdims=1),
    ]
    made = helper.make_graph(
        nodes,
        "test",
        [value("mel", real, [1, "frames", 80])],
        [value("envelope", real, [1, "frames", 80]), value("voicing", real, [1, "frames", 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_loader_reads_what_was_written() -> None:
    average = np.linspace(-5, 1, 80, dtype=np.float32)
    told = described(graph(np.eye(80, dtype=np.float32)), 44, 17, average)
    assert {each.key: each.value for each in told.metadata_props}["kind"] == "soft-vq"
    opened = open_graph(told.SerializeToString())
    assert (opened.left, opened.right) == (44, 17)
    assert np.allclose(opened.average, average, atol=1e-4)


def test_half_the_room_and_the_same_answers() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 1, (80, 80)).astype(np.float16).astype(np.float32)
    plain = graph(weights)
    small = in_halves(plain)
    assert small.ByteSize() < 0.55 * plain.ByteSize()
    assert plain.graph.initializer[0].data_type == TensorProto.FLOAT, "what came in stays"
    mel = rng.normal(-5, 2, (1, 30, 80)).astype(np.float32)
    opened = [open_graph(described(each, 0, 0, weights[0]).SerializeToString()) for each in (plain, small)]
    for first, second in zip(opened[0].outputs(mel), opened[1].outputs(mel), strict=True):
        assert np.allclose(first, second, atol=1e-4)


def test_small_weights_stay() -> None:
    assert in_halves(graph(np.ones((80, 1), np.float32))) == graph(np.ones((80, 1), np.float32))


def test_weights_beyond_half_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond the range"), np.errstate(over="ignore"):
        in_halves(graph(np.full((80, 80), 1e6, np.float32)))


def test_nonsense_is_no_graph() -> None:
    broken = graph(np.eye(80, dtype=np.float32))
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(onnx.checker.ValidationError):
        described(broken, 0, 0, np.zeros(80, np.float32))
