"""A bundle that the pipeline's own code made, and what loading refuses."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from masking.errors import ModelError
from masking.face.loading import load_model
from masking.face.maskers import AVERAGES, STYLES
from masking.face.surrogates import Averages
from mlops.registry.bundle import Bundle, open_bundle, write_manifest
from pipelines.train import GRAPHS


def changed(folder: Path) -> Bundle:
    digest = write_manifest(folder, "face-detector", "centerface", GRAPHS, "golden.npz")
    return open_bundle(folder, "1", digest)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "bundle"))


def test_the_faster_graph_that_gives_its_golden_outputs_serves(trained: Path, photo_pixels: np.ndarray) -> None:
    model = load_model(open_bundle(trained, "1"))
    assert model.precision in GRAPHS
    assert len(model.detector(photo_pixels, 0.2)) == 1


def test_averages_of_people_become_a_style(trained: Path, trained_with_averages: Path) -> None:
    assert AVERAGES not in load_model(open_bundle(trained, "1")).maskers
    assert list(load_model(open_bundle(trained_with_averages, "1")).maskers) == list(STYLES)


@pytest.mark.parametrize("fault", ["no archive", "19 people"])
def test_a_bundle_whose_averages_cannot_be_used_is_refused(folder: Path, fault: str) -> None:
    file = folder / "surrogates.npz"
    if fault == "no archive":
        file.write_bytes(b"nonsense")
    else:
        Averages(np.zeros((1, 16, 16, 3), np.uint8), np.array([19]), 19).save(file)
    digest = write_manifest(folder, "face-detector", "centerface", GRAPHS, "golden.npz", file.name)
    with pytest.raises(ModelError, match="surrogates"):
        load_model(open_bundle(folder, "1", digest))


def spoil(path: Path) -> None:
    """Change the weights of a graph a little, as a kernel that computes wrongly would change its outputs."""
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ndim == 4:
            spoilt = (values * 0.7).astype(values.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(spoilt, tensor.name))
    onnx.save_model(graph, path)


@pytest.mark.parametrize(("broken", "serves"), [("int8", "fp32"), ("fp32", "int8")])
def test_a_graph_that_gives_other_outputs_here_does_not_serve(folder: Path, broken: str, serves: str) -> None:
    spoil(folder / GRAPHS[broken])
    assert load_model(changed(folder)).precision == serves


def test_a_bundle_without_a_graph_that_passes_is_refused(folder: Path) -> None:
    for file in GRAPHS.values():
        spoil(folder / file)
    with pytest.raises(ModelError, match="golden"):
        load_model(changed(folder))


def test_a_file_that_is_no_graph_is_refused(folder: Path) -> None:
    (folder / "int8.onnx").write_bytes(b"no graph at all")
    with pytest.raises(ModelError):
        load_model(changed(folder))


def test_an_unknown_architecture_is_refused(folder: Path) -> None:
    digest = write_manifest(folder, "face-detector", "some-other-net", GRAPHS, "golden.npz")
    with pytest.raises(ModelError, match="architecture"):
        load_model(open_bundle(folder, "1", digest))
