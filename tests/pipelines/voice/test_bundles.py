"""The bundle of a voice model: what it is made of, that it loads, and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from masking.errors import ModelError
from masking.voice.loading import load_voice, open_graph
from masking.voice.maskers import STYLES
from mlops.registry.bundle import BundleError, open_bundle
from pipelines.voice.bundles import VadError, reviewed_vad, with_figures
from pipelines.voice_base import adopt, gather

ROOT = Path(__file__).resolve().parents[3]
VAD = ROOT / "data/base/silero_vad.onnx"
NAME = "voice-masker"


def test_a_bundle_loads_and_passes_its_golden_test(voice_bundle: Path) -> None:
    model = load_voice(open_bundle(voice_bundle, "1"))
    assert (model.name, model.version, model.precision) == (NAME, "1", "fp32")
    envelope, voicing = model.graph(np.zeros((400, 80), np.float32))
    assert envelope.shape == (400 - model.graph.left - model.graph.right, 80)
    assert voicing.shape == envelope.shape[:1]


def test_golden_outputs_do_not_hang_on_a_hair(voice_bundle: Path) -> None:
    """A codebook picks the nearest entry: where two are as near, another processor would pick the other."""
    graph = open_graph(voice_bundle / "voice.onnx")
    golden = np.load(voice_bundle / "golden.npz")
    rng = np.random.default_rng(1)
    for _ in range(5):
        shaken = golden["mel"] + rng.uniform(-1e-4, 1e-4, golden["mel"].shape).astype(np.float32)
        np.testing.assert_allclose(graph.outputs(shaken)[0], golden["fp32/envelope"], atol=0.02)


def test_another_file_than_the_reviewed_one_finds_no_speech(tmp_path: Path) -> None:
    with pytest.raises(VadError, match="make setup"):
        reviewed_vad(tmp_path / "silero_vad.onnx")
    (tmp_path / "silero_vad.onnx").write_bytes(b"finds nothing")
    with pytest.raises(VadError, match="not the reviewed"):
        reviewed_vad(tmp_path / "silero_vad.onnx")


def test_what_is_adopted_is_gathered_and_checked(voice_bundle: Path, tmp_path: Path) -> None:
    shipped, out = tmp_path / "models", tmp_path / "base"
    figures = {"strong": {"eer": 0.3}}
    digest = adopt(voice_bundle / "voice.onnx", shipped, VAD, NAME, figures)
    assert sorted(path.name for path in shipped.iterdir()) == [
        "figures.json",
        "golden.npz",
        "manifest.json",
        "voice.onnx",
    ], "the detector of speech is not the project's to ship"
    base = gather(shipped, VAD, out)
    assert (base.digest, base.architecture) == (digest, "codebook")
    assert base.figures is not None
    assert json.loads(base.figures.read_text()) == figures
    assert load_voice(base).bundle == digest

    (shipped / "voice.onnx").write_bytes(b"another graph")
    with pytest.raises(BundleError, match=r"voice\.onnx"):
        gather(shipped, VAD, out)


def test_a_graph_that_cannot_ship_is_refused_and_nothing_changes(voice_bundle: Path, tmp_path: Path) -> None:
    def changed(name: str, keys: Sequence[str], padding: int = 0) -> Path:
        model = onnx.load(voice_bundle / "voice.onnx")
        kept = [each for each in model.metadata_props if each.key in keys]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        model.doc_string = "." * padding
        onnx.save_model(model, tmp_path / name)
        return tmp_path / name

    told = ("kind", "left", "right", "average")
    for path, error in (
        (changed("large", told, 2_000_000), ValueError),
        (changed("nameless", told[1:]), ValueError),
        (changed("blind", told[:3]), ModelError),
    ):
        with pytest.raises(error):
            adopt(path, tmp_path / "models", VAD, NAME)
    assert not (tmp_path / "models").exists()


def test_a_graph_that_is_too_large_ships_in_half_precision(voice_bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(voice_bundle / "voice.onnx")
    ballast = np.linspace(-1, 1, 700_000, dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(ballast, "ballast"))
    model.graph.node.append(onnx.helper.make_node("ReduceMax", ["ballast"], ["unused"], keepdims=0))
    onnx.save_model(model, tmp_path / "large.onnx")
    adopt(tmp_path / "large.onnx", tmp_path / "models", VAD, NAME)
    assert (tmp_path / "models/voice.onnx").stat().st_size <= 2_000_000
    frames = np.load(voice_bundle / "golden.npz")["mel"]
    small, large = (open_graph(path) for path in (tmp_path / "models/voice.onnx", voice_bundle / "voice.onnx"))
    np.testing.assert_allclose(small.outputs(frames)[0], large.outputs(frames)[0], atol=0.02)


def test_the_shipped_model_is_whole_and_small(tmp_path: Path) -> None:
    bundle = gather(ROOT / "models/voice", reviewed_vad(VAD), tmp_path / "base")
    assert (ROOT / "models/voice/voice.onnx").stat().st_size <= 2_000_000
    assert load_voice(bundle).name == NAME
    assert bundle.figures is not None
    told = json.loads(bundle.figures.read_text())
    assert all(told[style]["eer_low"] <= told[style]["eer"] <= told[style]["eer_high"] for style in STYLES)


def test_figures_go_along_and_change_the_digest(voice_bundle: Path, tmp_path: Path) -> None:
    plain = open_bundle(voice_bundle, "1")
    told = with_figures(plain, {"strong": {"eer": 0.3}}, tmp_path / "told")
    assert told.digest != plain.digest
    assert told.figures is not None
    assert load_voice(told).bundle == told.digest
