"""Static int8 quantisation of a convolutional graph, calibrated on pictures.

Recipe: QDQ format, per-channel int8 weights, uint8 activations, min-max calibration (Jacob et al., 2018,
arXiv:1712.05877; onnxruntime's quantisation tools). The heads that end in the outputs stay fp32: they are a hundredth
of the work, and box sizes are exponents of what they say.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, inputs: Iterable[NDArray[np.uint8]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[np.uint8]]] = ({name: image} for image in inputs)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._feeds, None)


def head_nodes(model: onnx.ModelProto) -> list[str]:
    """Name the nodes from each output back to and including its nearest convolution."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    heads: dict[str, None] = {}
    for output in model.graph.output:
        node = made_by[output.name]
        heads[node.name] = None
        while node.op_type != "Conv":
            node = made_by[node.input[0]]
            heads[node.name] = None
    return list(heads)


def quantize(source: Path, target: Path, inputs: Iterable[NDArray[np.uint8]]) -> None:
    """Write the int8 twin of an fp32 graph.

    Args:
        source: The fp32 graph with uint8 pictures as input; its nodes must have names.
        target: Where the int8 graph is written, with the same input and outputs.
        inputs: Calibration pictures, uint8 in the graph's own layout.
    """
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        pixels = next(node.output[0] for node in model.graph.node if node.op_type == "Cast")
        quantize_static(
            str(prepared),
            str(target),
            _Reader(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=head_nodes(model),
            # Pixels are whole numbers of 0 to 255 already: scale 1, zero point 0.
            extra_options={
                "TensorQuantOverrides": {
                    pixels: [{"scale": np.array(1, np.float32), "zero_point": np.array(0, np.uint8)}]
                }
            },
        )
    quantized = onnx.load(target)
    _skip_float_pixels(quantized.graph, pixels)
    onnx.checker.check_model(quantized, full_check=True)
    onnx.save_model(quantized, target)


def _skip_float_pixels(graph: onnx.GraphProto, pixels: str) -> None:
    """Feed the pixels as they are to the first dequantisation, not by way of float and back."""
    cast = next(node for node in graph.node if node.output[0] == pixels)
    quantizer = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == pixels)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    if values[quantizer.input[1]] != 1 or values[quantizer.input[2]] != 0:
        raise ValueError("the pixels were given a scale or zero point of their own")
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == quantizer.output[0]:
                node.input[index] = cast.input[0]
    graph.node.remove(cast)
    graph.node.remove(quantizer)
