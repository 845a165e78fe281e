"""The real MLflow on a database file: what is registered is what is pulled."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlops.registry.bundle import BundleError, current, installed, point, pointer_stamp, write_manifest
from mlops.registry.mlflow import DIGEST_TAG, Registry, RegistryError, UnknownVersion

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow

NAME = "some-model"


@pytest.fixture
def uri(empty_registry: Path, tmp_path: Path) -> Iterator[str]:
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    yield f"sqlite:///{tmp_path}/mlflow.db"
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


def test_a_champion_that_the_disk_has_damaged_is_brought_again(uri: str, tmp_path: Path) -> None:
    registry, root = Registry(uri), tmp_path / "bundles"
    run, digest = logged(uri, tmp_path / "made", b"first")
    registry.promote(NAME, registry.register(NAME, run, "bundle", digest, {}).version)
    registry.pull(NAME, root)
    stamp = pointer_stamp(root, NAME)
    (root / NAME / "1" / "fp32.onnx").write_bytes(b"damaged")
    assert registry.pull(NAME, root) is not None
    bundle = current(root, NAME)
    assert bundle is not None
    assert bundle.graphs["fp32"].read_bytes() == b"first"
    assert pointer_stamp(root, NAME) != stamp, "whoever serves sees that there is something new"


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


def test_only_the_first_version_that_is_admitted_becomes_champion(uri: str, tmp_path: Path) -> None:
    registry = Registry(uri)
    aliases = []
    for content in (b"first", b"second", b"third"):
        run, digest = logged(uri, tmp_path / content.decode(), content)
        version = registry.register(NAME, run, "bundle", digest, {})
        aliases.append(registry.admit(NAME, version.version).aliases)
    assert aliases == [("champion",), ("challenger",), ("challenger",)]
    assert registry.resolve(NAME, "challenger").version == "3"
    assert registry.resolve(NAME, "champion").version == "1"


def test_who_becomes_champion_is_no_challenger_any_more(two: Registry) -> None:
    two.set_alias(NAME, "challenger", "2")
    two.promote(NAME, "1")
    assert two.resolve(NAME, "challenger").version == "2"
    assert two.promote(NAME, "2").aliases == ("champion",)
    with pytest.raises(UnknownVersion):
        two.resolve(NAME, "challenger")


def test_a_version_that_is_not_there_cannot_become_champion(uri: str) -> None:
    with pytest.raises(RegistryError):
        Registry(uri).promote(NAME, "7")


@pytest.fixture
def two(uri: str, tmp_path: Path) -> Registry:
    """A registry with two versions, the first of which is champion and installed."""
    registry = Registry(uri)
    for content in (b"first", b"second"):
        run, digest = logged(uri, tmp_path / content.decode(), content)
        registry.register(NAME, run, "bundle", digest, {})
    registry.promote(NAME, "1")
    registry.pull(NAME, tmp_path / "bundles")
    return registry


def test_a_version_is_named_by_number_alias_or_as_the_newest(two: Registry) -> None:
    two.set_alias(NAME, "challenger", "2")
    for wanted, version in (("1", "1"), ("champion", "1"), ("challenger", "2"), ("newest", "2")):
        assert two.resolve(NAME, wanted).version == version
    two.set_alias(NAME, "challenger", None)
    two.set_alias(NAME, "challenger", None)
    for wanted in ("challenger", "3", "previous", "no such thing"):
        with pytest.raises(UnknownVersion):
            two.resolve(NAME, wanted)
    for wanted in ("1", "champion", "newest"):
        with pytest.raises(UnknownVersion):
            two.resolve("nobody", wanted)
    with pytest.raises(UnknownVersion):
        two.set_alias(NAME, "champion", "3")


def test_a_version_is_brought_beside_the_champion(two: Registry, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    bundle = two.bring(NAME, "2", root)
    assert (bundle.version, bundle.graphs["fp32"].read_bytes()) == ("2", b"second")
    before = installed(root, NAME)
    assert before is not None
    assert before[0] == "1"
    with pytest.raises(UnknownVersion):
        two.bring(NAME, "3", root)


def test_a_champion_that_may_not_be_pointed_at_yet_is_left_for_later(two: Registry, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    two.promote(NAME, "2")
    assert two.pull(NAME, root, lambda name: name != NAME) is None
    assert (installed(root, NAME) or ("",))[0] == "1"
    assert two.pull(NAME, root) is not None
    assert (installed(root, NAME) or ("",))[0] == "2"


def test_a_release_that_moves_the_pointer_while_the_champion_is_pulled_is_not_undone(
    two: Registry, tmp_path: Path
) -> None:
    root = tmp_path / "bundles"
    digest = two.resolve(NAME, "2").digest
    two.bring(NAME, "2", root)
    (root / NAME / "champion.json").unlink()

    def moved_meanwhile(_: str) -> bool:
        point(root, NAME, "2", digest)
        return True

    assert two.pull(NAME, root, moved_meanwhile) is None
    assert installed(root, NAME) == ("2", digest)


def test_models_with_a_champion_are_those_that_can_be_brought(two: Registry, uri: str, tmp_path: Path) -> None:
    run, digest = logged(uri, tmp_path / "more", b"third")
    two.register("without-champion", run, "bundle", digest, {})
    two.register("no folder of that name", run, "bundle", digest, {})
    two.set_alias("no folder of that name", "champion", "1")
    assert two.champions() == [NAME]
    assert two.names() == ["no folder of that name", NAME, "without-champion"]
