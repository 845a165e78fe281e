"""A codebook as an ONNX graph of a few operators: frames in, averages out.

The speaker's own long-term spectrum is the mean of the loud frames in a window, so that the graph needs no memory and a
stream gives the same as a file.
"""

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from masking.voice.types import BANDS
from pipelines.voice.codebook import Codebook

OPSET: Final = 17
KIND: Final = "codebook"
BACK: Final = 120
"""Frames of the past that tell what the speaker sounds like."""
AHEAD: Final = 6
DEPTH: Final = 2.0
"""Nepers below the loudest frame of the window from which a frame tells little."""
SLOPE: Final = 3.0
BLEND: Final = 1
"""Frames on either side that are averaged, so that one entry does not jump to the next."""
# What counts as loud in a window is told by a window of its own.
LEFT: Final = 2 * BACK + BLEND
RIGHT: Final = 2 * AHEAD + BLEND


def to_graph(codebook: Codebook) -> onnx.ModelProto:
    """Give the graph: ``mel`` (1, T, 80) to ``envelope`` (1, T, 80) and ``voicing`` (1, T, 1), all float32.

    Its metadata say how many frames of context it needs on each side, ``left`` and ``right``, its ``kind``, and the
    envelope of the ``average`` voice.
    """
    constants = {
        "gate_depth": np.array(DEPTH, np.float32),
        "gate_slope": np.array(SLOPE, np.float32),
        "least": np.array(1e-6, np.float32),
        "centres": np.ascontiguousarray(codebook.centres.T),
        "half": 0.5 * np.square(codebook.centres).sum(axis=1),
        "shapes": codebook.shapes,
        "voicings": codebook.voicing[:, None],
    }
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["mel"], ["level"], axes=[2], keepdims=1),
        node("Sub", ["mel", "level"], ["shape"]),
        node("Transpose", ["level"], ["level_first"], perm=[0, 2, 1]),
        node("Transpose", ["shape"], ["shape_first"], perm=[0, 2, 1]),
        node("MaxPool", ["level_first"], ["loudest"], kernel_shape=[BACK + 1 + AHEAD], pads=[BACK, AHEAD]),
        node("Sub", ["level_first", "loudest"], ["below"]),
        node("Add", ["below", "gate_depth"], ["above_gate"]),
        node("Mul", ["above_gate", "gate_slope"], ["steep"]),
        node("Sigmoid", ["steep"], ["gate"]),
        node("Mul", ["shape_first", "gate"], ["gated"]),
        _mean("gated", "gated_mean", BACK, AHEAD, beyond=1),
        _mean("gate", "gate_mean", BACK, AHEAD, beyond=1),
        node("Add", ["gate_mean", "least"], ["gate_sum"]),
        node("Div", ["gated_mean", "gate_sum"], ["speaker_first"]),
        node("Transpose", ["speaker_first"], ["speaker"], perm=[0, 2, 1]),
        node("Sub", ["shape", "speaker"], ["said"]),
        node("MatMul", ["said", "centres"], ["likeness"]),
        node("Sub", ["half", "likeness"], ["distance"]),
        node("ArgMin", ["distance"], ["entry"], axis=2, keepdims=0),
        node("Gather", ["shapes", "entry"], ["average"], axis=0),
        node("Gather", ["voicings", "entry"], ["average_voicing"], axis=0),
        *_blended("average", "blended"),
        *_blended("average_voicing", "voicing"),
        node("Add", ["blended", "level"], ["envelope"]),
    ]
    value, real = helper.make_tensor_value_info, TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        KIND,
        [value("mel", real, [1, "frames", BANDS])],
        [value("envelope", real, [1, "frames", BANDS]), value("voicing", real, [1, "frames", 1])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    average = ",".join(f"{value:.4f}" for value in codebook.average)
    helper.set_model_props(model, {"kind": KIND, "left": str(LEFT), "right": str(RIGHT), "average": average})
    onnx.checker.check_model(model, full_check=True)
    return model


def _blended(name: str, out: str) -> list[onnx.NodeProto]:
    """Average neighbouring frames; where one is missing, what is there."""
    return [
        helper.make_node("Transpose", [name], [f"{name}_first"], perm=[0, 2, 1]),
        _mean(f"{name}_first", f"{name}_mean", BLEND, BLEND, beyond=0),
        helper.make_node("Transpose", [f"{name}_mean"], [out], perm=[0, 2, 1]),
    ]


def _mean(name: str, out: str, back: int, ahead: int, beyond: int) -> onnx.NodeProto:
    """Average over a window of frames; ``beyond`` is 1 where those outside the recording count as zeros."""
    size, pads = [back + 1 + ahead], [back, ahead]
    return helper.make_node("AveragePool", [name], [out], kernel_shape=size, pads=pads, count_include_pad=beyond)
