"""Static int8 quantisation of a convolutional graph, calibrated on pictures.

Recipe: QDQ format, per-channel int8 weights, uint8 activations, min-max calibration (Jacob et al., 2018,
arXiv:1712.05877; onnxruntime's quantisation tools). Both ends stay fp32. The heads are a hundredth of the work, and box
sizes are exponents of what they say. The stem sees pixels: with one scale for the brightest and the darkest of them,
faces of dark scenes vanish in the steps (docs/decisions/0007-stem-in-float.md).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

STEM_CONVOLUTIONS = 3


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


def stem_nodes(model: onnx.ModelProto, convolutions: int) -> list[str]:
    """Name the nodes from the first convolution to the one that makes ``convolutions``, in the order of the graph."""
    stem: list[str] = []
    left = convolutions
    for node in model.graph.node:
        is_convolution = node.op_type == "Conv"
        if left and (stem or is_convolution):
            stem.append(node.name)
        left -= is_convolution and left > 0
    return stem


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
        quantize_static(
            str(prepared),
            str(target),
            _Reader(model.graph.input[0].name, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[*stem_nodes(model, STEM_CONVOLUTIONS), *head_nodes(model)],
        )
    onnx.checker.check_model(onnx.load(target), full_check=True)
