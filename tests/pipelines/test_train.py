from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from masking.face.detectors.centerface import CenterFace
from masking.onnx import open_session
from mlops.registry.bundle import open_bundle
from pipelines.params import Train
from pipelines.train import GRAPHS, OUTPUTS, UnfitData, train


def test_the_bundle_holds_both_graphs_with_their_golden_outputs(trained: Path) -> None:
    bundle = open_bundle(trained, "1")
    golden = np.load(bundle.golden)
    assert set(bundle.graphs) == set(GRAPHS)
    for precision, graph in bundle.graphs.items():
        outputs = open_session(graph).run(list(OUTPUTS), {"picture": golden["picture"]})
        for name, found in zip(OUTPUTS, outputs, strict=True):
            np.testing.assert_allclose(found, golden[f"{precision}/{name}"], atol=1e-3)


def test_int8_finds_the_same_face_as_fp32(trained: Path, photo_pixels: np.ndarray) -> None:
    boxes = [CenterFace(open_session(trained / file))(photo_pixels, 0.2).boxes for file in GRAPHS.values()]
    assert [len(found) for found in boxes] == [1, 1]
    assert boxes[0] == pytest.approx(boxes[1], abs=8)


def test_int8_is_as_sure_as_fp32_of_a_face_in_the_dark(trained: Path, photo_pixels: np.ndarray) -> None:
    small = cv2.GaussianBlur(cv2.resize(photo_pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA), (0, 0), 1.5)
    candlelight = (small * np.array([1, 0.5, 0.25]) / 12).astype(np.uint8)
    int8, fp32 = (CenterFace(open_session(trained / GRAPHS[name]))(candlelight, 0.05) for name in ("int8", "fp32"))
    assert fp32.scores[0] > 0.5
    assert int8.scores[0] > 0.7 * fp32.scores[0]


def test_int8_is_int8_but_for_the_stem_and_the_heads(trained: Path) -> None:
    graph = onnx.load(trained / GRAPHS["int8"]).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    dequantized = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    quantized = [n for n in convolutions if types.get(dequantized.get(n.input[1], "")) == onnx.TensorProto.INT8]
    assert len(convolutions) - len(quantized) == 3 + 1
    assert (trained / GRAPHS["int8"]).stat().st_size < 0.35 * (trained / GRAPHS["fp32"]).stat().st_size


def test_averages_of_people_go_into_the_bundle_where_there_are_any(
    trained: Path, fp32_graph: Path, photo_pixels: np.ndarray, averages: Path, tmp_path: Path
) -> None:
    assert open_bundle(trained, "1").averages is None
    params = Train(calibration_images=1, least_images=1)
    picture = np.asarray(cv2.resize(photo_pixels, (160, 188)), np.uint8)
    digest = train(fp32_graph, [picture], tmp_path / "model", "face-detector", params, averages)
    held = open_bundle(tmp_path / "model", "1", digest).averages
    assert held is not None
    assert held.read_bytes() == averages.read_bytes()


@pytest.mark.parametrize(("count", "reason"), [(1, "2 pictures"), (2, "no sure face|shows a sure face")])
def test_data_that_are_not_fit_are_refused(count: int, reason: str, fp32_graph: Path, tmp_path: Path) -> None:
    empty = [np.full((64, 64, 3), 100, np.uint8)] * count
    with pytest.raises(UnfitData, match=reason):
        train(fp32_graph, empty, tmp_path / "model", "face-detector", Train(calibration_images=2, least_images=2))
