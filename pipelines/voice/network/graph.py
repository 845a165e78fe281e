"""What is done to the exported graph: it says what it is, and its weights take half the room."""

from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

KIND: Final = "soft-vq"
OPSET: Final = 17
IR_VERSION: Final = 8
SMALL: Final = 256
"""Weights of fewer numbers stay as they are."""


def in_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large float32 weights as float16; the graph casts them, which a runtime does once, when it loads them.

    Raises:
        ValueError: A weight is beyond the range of float16.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for weight in halved.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALL:
            continue
        name = weight.name
        small = values.astype(np.float16)
        if not np.isfinite(small).all():
            raise ValueError(f"the weight {name} is beyond the range of float16")
        weight.CopyFrom(numpy_helper.from_array(small, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


def described(model: onnx.ModelProto, left: int, right: int, average: NDArray[np.float32]) -> onnx.ModelProto:
    """Write into the metadata what a user of the graph must know, as `masking.voice.loading` reads it.

    Args:
        model: The graph.
        left: Frames of the past that an output depends on.
        right: Frames of the future.
        average: Envelope of the average voice over its speech, shape (80,).

    Raises:
        onnx.checker.ValidationError: It is no valid graph.
    """
    told = onnx.ModelProto()
    told.CopyFrom(model)
    told.ir_version = IR_VERSION
    said = ",".join(f"{value:.4f}" for value in average)
    helper.set_model_props(told, {"kind": KIND, "left": str(left), "right": str(right), "average": said})
    onnx.checker.check_model(told, full_check=True)
    return told
