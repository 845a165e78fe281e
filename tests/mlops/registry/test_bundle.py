import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlops.registry.bundle import (
    BundleError,
    current,
    install,
    installed,
    on_disk,
    open_bundle,
    place,
    point,
    point_from,
    pointer_stamp,
    remove_left,
    write_manifest,
)

NAME = "some-model"


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "fp32.onnx").write_bytes(b"graph of floats")
    (folder / "int8.onnx").write_bytes(b"graph of bytes")
    np.savez(folder / "golden.npz", picture=np.zeros(3))
    digest = write_manifest(folder, NAME, "some-net", {"fp32": "fp32.onnx", "int8": "int8.onnx"}, "golden.npz")
    return folder, digest


def test_what_is_installed_is_what_serves(made: tuple[Path, str], tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    assert current(root, NAME) is None
    assert pointer_stamp(root, NAME) is None
    install(made[0], root, NAME, "3", made[1])
    bundle = current(root, NAME)
    assert bundle is not None
    assert (bundle.version, bundle.digest, bundle.architecture) == ("3", made[1], "some-net")
    assert bundle.graphs["int8"].read_bytes() == b"graph of bytes"
    assert installed(root, NAME) == ("3", made[1])
    before = pointer_stamp(root, NAME)
    install(made[0], root, NAME, "4", made[1])
    assert pointer_stamp(root, NAME) != before


def test_averages_are_verified_like_every_file_and_may_be_missing(made: tuple[Path, str]) -> None:
    folder, without = made
    assert open_bundle(folder, "3", without).averages is None
    (folder / "averages.npz").write_bytes(b"averages of people")
    digest = write_manifest(folder, NAME, "some-net", {"fp32": "fp32.onnx"}, "golden.npz", "averages.npz")
    assert digest != without
    averages = open_bundle(folder, "3", digest).averages
    assert averages is not None
    assert averages.read_bytes() == b"averages of people"
    averages.write_bytes(b"one person")
    with pytest.raises(BundleError, match=r"averages\.npz"):
        open_bundle(folder, "3", digest)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["averages.npz"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="no digest"):
        open_bundle(folder, "3")


def test_what_finds_speech_is_verified_and_installed_with_the_rest(made: tuple[Path, str], tmp_path: Path) -> None:
    folder, without = made
    assert open_bundle(folder, "3", without).vad is None
    (folder / "vad.onnx").write_bytes(b"finds speech")
    (folder / "figures.json").write_text("{}")
    digest = write_manifest(
        folder, NAME, "some-net", {"fp32": "fp32.onnx"}, "golden.npz", vad="vad.onnx", figures="figures.json"
    )
    bundle = install(folder, tmp_path / "bundles", NAME, "3", digest)
    assert bundle.averages is None
    assert bundle.figures is not None
    assert bundle.figures.read_text() == "{}"
    assert bundle.vad is not None
    assert bundle.vad.read_bytes() == b"finds speech"
    bundle.vad.write_bytes(b"finds nothing")
    with pytest.raises(BundleError, match=r"vad\.onnx"):
        current(tmp_path / "bundles", NAME)


@pytest.mark.parametrize("file", ["fp32.onnx", "int8.onnx", "golden.npz", "manifest.json"])
@pytest.mark.parametrize("fault", ["changed", "gone", "empty"])
def test_a_bundle_with_any_file_changed_is_refused(
    made: tuple[Path, str], tmp_path: Path, file: str, fault: str
) -> None:
    root = tmp_path / "bundles"
    install(made[0], root, NAME, "3", made[1])
    place = root / NAME / "3" / file
    if fault == "gone":
        place.unlink()
    else:
        place.write_bytes(b"" if fault == "empty" else place.read_bytes() + b" ")
    with pytest.raises(BundleError):
        current(root, NAME)


def test_a_bundle_that_is_not_as_registered_never_gets_the_pointer(made: tuple[Path, str], tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    install(made[0], root, NAME, "3", made[1])
    (made[0] / "int8.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError):
        install(made[0], root, NAME, "4", made[1])
    bundle = current(root, NAME)
    assert bundle is not None
    assert bundle.version == "3"
    assert not [path for path in (root / NAME).iterdir() if path.name.startswith(".incoming")]


def test_a_manifest_that_was_written_anew_is_refused_by_its_digest(made: tuple[Path, str], tmp_path: Path) -> None:
    (made[0] / "int8.onnx").write_bytes(b"something else")
    forged = write_manifest(made[0], NAME, "some-net", {"int8": "int8.onnx"}, "golden.npz")
    assert open_bundle(made[0], "3", forged)
    with pytest.raises(BundleError, match="digest"):
        install(made[0], tmp_path / "bundles", NAME, "3", made[1])


@pytest.mark.parametrize("pointer", ["", "{}", '{"version": "../../etc", "digest": "0"}', "[1]", '{"version": "3"}'])
def test_a_damaged_pointer_is_an_error_not_a_missing_model(tmp_path: Path, pointer: str) -> None:
    place = tmp_path / NAME / "champion.json"
    place.parent.mkdir()
    place.write_text(pointer)
    with pytest.raises(BundleError):
        current(tmp_path, NAME)


def test_a_manifest_cannot_name_files_elsewhere(made: tuple[Path, str]) -> None:
    manifest = json.loads((made[0] / "manifest.json").read_text())
    manifest["files"] = {"../made/int8.onnx": manifest["files"]["int8.onnx"]}
    (made[0] / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="plain file name"):
        open_bundle(made[0], "3")


def test_a_version_is_put_beside_the_champion_and_pointed_at_later(made: tuple[Path, str], tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    install(made[0], root, NAME, "3", made[1])
    assert on_disk(root, NAME, "4", made[1]) is None
    candidate = place(made[0], root, NAME, "4", made[1])
    assert candidate.folder == root / NAME / "4"
    assert installed(root, NAME) == ("3", made[1])
    assert on_disk(root, NAME, "4", "f" * 64) is None
    point(root, NAME, "4", made[1])
    now = current(root, NAME)
    assert now is not None
    assert now.version == "4"


def test_a_version_that_may_be_served_right_now_is_not_replaced_unless_it_is_damaged(
    made: tuple[Path, str], tmp_path: Path
) -> None:
    root = tmp_path / "bundles"
    folder = place(made[0], root, NAME, "3", made[1]).folder
    before = folder.stat().st_ino
    assert place(made[0], root, NAME, "3", made[1]).folder.stat().st_ino == before
    (folder / "fp32.onnx").write_bytes(b"damaged")
    mended = place(made[0], root, NAME, "3", made[1])
    assert mended.graphs["fp32"].read_bytes() == b"graph of floats"


@pytest.mark.parametrize("moved", [False, True])
def test_who_decided_on_an_older_pointer_comes_too_late(made: tuple[Path, str], tmp_path: Path, moved: bool) -> None:
    root = tmp_path / "bundles"
    for version in ("3", "4", "5"):
        place(made[0], root, NAME, version, made[1])
    assert point_from(None, root, NAME, "3", made[1])
    before = installed(root, NAME)
    if moved:
        point(root, NAME, "4", made[1])
    assert point_from(before, root, NAME, "5", made[1]) is not moved
    assert installed(root, NAME) == ("4" if moved else "5", made[1])


def test_several_that_bring_a_version_at_once_all_get_it(made: tuple[Path, str], tmp_path: Path) -> None:
    folder, digest = made
    for version in map(str, range(20)):
        with ThreadPoolExecutor(4) as pool:
            brought = [pool.submit(place, folder, tmp_path / "bundles", NAME, version, digest) for _ in range(4)]
        assert {each.result().folder for each in brought} == {tmp_path / "bundles" / NAME / version}


def test_what_a_killed_process_left_goes_and_what_one_copies_right_now_stays(
    made: tuple[Path, str], tmp_path: Path
) -> None:
    root, ended = tmp_path / "bundles", threading.Event()
    left = root / NAME / ".incoming-left"
    left.mkdir(parents=True)
    (left / "fp32.onnx").touch()

    def remove() -> None:
        # Once at least, also where this begins when all is in its place.
        remove_left(root)
        while not ended.is_set():
            remove_left(root)

    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(remove)
        try:
            for version in map(str, range(50)):
                place(made[0], root, NAME, version, made[1])
        finally:
            ended.set()
        removing.result()
    assert not list((root / NAME).glob(".incoming-*"))
