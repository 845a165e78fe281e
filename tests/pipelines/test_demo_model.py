import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from masking.onnx import open_session
from mlops.generic.loading import load_generic
from mlops.registry.bundle import open_bundle
from mlops.registry.mlflow import Registry
from mlops.settings import Settings, load_settings
from pipelines.demo_model import NotGoodEnough, Training, build, draw, register

QUICK = Training(digits=1500, epochs=6)


@pytest.fixture(scope="module")
def settings(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    tmp_path = tmp_path_factory.mktemp("registry")
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    return load_settings(
        environ={
            "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "MASKER_REGISTRY__ARTIFACTS": str(tmp_path / "artifacts"),
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
        }
    )


def test_the_same_seed_draws_the_same_digits() -> None:
    one, other = (draw(20, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert one[0].dtype == np.float32
    assert one[0].shape == (20, 64)
    assert 0 <= one[0].min() <= one[0].max() <= 1


def test_the_bundle_is_one_that_serves_and_reads_digits(tmp_path: Path) -> None:
    digest, accuracy = build(tmp_path / "bundle", "demo", QUICK)
    model = load_generic(open_bundle(tmp_path / "bundle", "1", digest), open_session)
    assert accuracy > 0.9
    features, labels = draw(300, np.random.default_rng(99))
    found, shares = model.run({"features": features})
    assert (found == labels).mean() > 0.85
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    told = json.loads((tmp_path / "bundle/signature.json").read_text())
    assert json.loads(told["inputs"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 64]}


def test_it_is_registered_as_champion_and_can_be_pulled(settings: Settings) -> None:
    version, _ = register(settings, "demo", QUICK)
    assert "champion" in version.aliases
    bundle = Registry(settings.registry.tracking_uri).pull("demo", settings.registry.bundles_path)
    assert bundle is not None
    assert (bundle.architecture, bundle.version) == ("onnx", version.version)


def test_one_that_learned_nothing_is_not_registered(settings: Settings) -> None:
    with pytest.raises(NotGoodEnough):
        register(settings, "other", Training(digits=300, epochs=1, rate=0.0))
    assert Registry(settings.registry.tracking_uri).champion("other") is None
