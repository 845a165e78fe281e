from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from masking.face.detectors.centerface import to_input
from masking.onnx import open_session
from pipelines.import_base import OUTPUTS, BaseModelError, read_base


def test_the_base_graph_is_the_published_graph_to_within_rounding(
    published_graph: onnx.ModelProto, fp32_graph: Path, hopper: bytes
) -> None:
    published = onnx.ModelProto()
    published.CopyFrom(published_graph)
    inputs = [value for value in published.graph.input if value.name == "input.1"]
    for value in (*inputs, *published.graph.output):
        for index, dim in enumerate(value.type.tensor_type.shape.dim):
            if index != 1:
                dim.dim_param = f"side_{value.name}_{index}"
    options = ort.SessionOptions()
    options.log_severity_level = 3
    reference = ort.InferenceSession(published.SerializeToString(), options, providers=["CPUExecutionProvider"])
    decoded = cv2.imdecode(np.frombuffer(hopper, np.uint8), cv2.IMREAD_COLOR)
    picture = to_input(np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)[:300, :350]))
    expected = reference.run(list(OUTPUTS), {"input.1": picture.transpose(0, 3, 1, 2).astype(np.float32)})
    found = open_session(fp32_graph).run(list(OUTPUTS.values()), {"picture": picture})
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3)


def test_every_node_has_a_name_of_its_own(fp32_graph: Path) -> None:
    names = [node.name for node in onnx.load(fp32_graph).graph.node if node.op_type == "Conv"]
    assert all(names)
    assert len(set(names)) == len(names)


def test_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="missing"):
        read_base(tmp_path / "none.onnx")
    (tmp_path / "other.onnx").write_bytes(b"something else")
    with pytest.raises(BaseModelError, match="SHA-256"):
        read_base(tmp_path / "other.onnx")
