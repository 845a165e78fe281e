"""The real MLflow on a database file: what is registered is what is pulled."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlops.registry.bundle import BundleError, current, write_manifest
from mlops.registry.mlflow import DIGEST_TAG, Registry, RegistryError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow

NAME = "some-model"


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    yield uri
    mlflow.set_tracking_uri("sqlite:///:memory:")


def logged(uri: str, folder: Path, content: bytes) -> tuple[str, str]:
    """Log a bundle as a run's artifact; gives the run and the digest."""
    folder.mkdir(parents=True)
    (folder / "fp32.onnx").write_bytes(content)
    np.savez(folder / "golden.npz", picture=np.zeros(3))
    digest = write_manifest(folder, NAME, "some-net", {"fp32": "fp32.onnx"}, "golden.npz")
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name("made") is None:
        mlflow.create_experiment("made", (folder.parent / "artifacts").as_uri())
    mlflow.set_experiment("made")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "bundle")
    return run.info.run_id, digest


def test_the_champion_is_pulled_and_followed(uri: str, tmp_path: Path) -> None:
    registry, root = Registry(uri), tmp_path / "bundles"
    assert registry.champion(NAME) is None
    assert registry.pull(NAME, root) is None
    assert registry.names() == []

    for number, content in (("1", b"first"), ("2", b"second")):
        run, digest = logged(uri, tmp_path / f"made-{number}", content)
        version = registry.register(NAME, run, "bundle", digest, {"recall": "0.95"})
        assert version.version == number
        registry.promote(NAME, number)
        bundle = registry.pull(NAME, root)
        assert bundle is not None
        assert bundle.graphs["fp32"].read_bytes() == content
        assert registry.pull(NAME, root) is None, "what is there already is not brought again"

    newest, oldest = registry.versions(NAME)
    assert (newest.version, newest.aliases, newest.tags["recall"]) == ("2", ("champion",), "0.95")
    assert oldest.aliases == ("previous",)

    registry.promote(NAME, "1")
    registry.pull(NAME, root)
    back = current(root, NAME)
    assert back is not None
    assert back.graphs["fp32"].read_bytes() == b"first"


def test_artifacts_that_were_changed_after_registration_are_refused(uri: str, tmp_path: Path) -> None:
    registry, root = Registry(uri), tmp_path / "bundles"
    run, digest = logged(uri, tmp_path / "made", b"first")
    registry.promote(NAME, registry.register(NAME, run, "bundle", digest, {}).version)
    registry.pull(NAME, root)
    other, other_digest = logged(uri, tmp_path / "other", b"second")
    registry.promote(NAME, registry.register(NAME, other, "bundle", other_digest, {}).version)
    (stored,) = (tmp_path / "artifacts" / other).rglob("fp32.onnx")
    stored.write_bytes(b"forged")
    with pytest.raises(BundleError, match=r"fp32\.onnx"):
        registry.pull(NAME, root)
    serving = current(root, NAME)
    assert serving is not None
    assert serving.version == "1"


def test_a_version_that_register_did_not_make_is_refused(uri: str, tmp_path: Path) -> None:
    registry = Registry(uri)
    run, _ = logged(uri, tmp_path / "made", b"first")
    registry.promote(NAME, registry.register(NAME, run, "bundle", "", {}).version)
    with pytest.raises(BundleError, match=DIGEST_TAG):
        registry.pull(NAME, tmp_path / "bundles")


def test_a_version_that_is_not_there_cannot_become_champion(uri: str) -> None:
    with pytest.raises(RegistryError):
        Registry(uri).promote(NAME, "7")
