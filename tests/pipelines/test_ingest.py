import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.procedural import Capture, Identity, portrait
from masking.types import Faces
from pipelines.dataset import (
    LANDMARK_COLUMNS,
    Face,
    Writer,
    picture,
    read_crops,
    read_images,
    read_index,
    read_manifest,
    read_scenes,
)
from pipelines.ingest import ingest, secret_key, split_of
from pipelines.params import Ingest
from pipelines.photos import Detect, PhotosError

SMALL = Ingest(identities=6, captures=3, crop_px=64, scenes=6, scene_px=(160, 120), test_share=0.5)
KEY = b"k" * 32


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "ingested"
    summary = ingest(SMALL, folder)
    assert (summary.crops, summary.scenes, summary.people) == (18, 6, 6)
    return folder


def test_the_same_parameters_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    ingest(SMALL, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(made)
    assert set(digests(made)) == {"crops.parquet", "scenes.parquet", "manifest.parquet"}


def test_another_seed_gives_other_pictures(made: Path, tmp_path: Path) -> None:
    ingest(SMALL.model_copy(update={"seed": 8}), tmp_path / "other")
    assert all(digests(tmp_path / "other")[name] != digest for name, digest in digests(made).items())


def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    params = SMALL.model_copy(update={"identities": 2, "captures": 2, "scenes": 40, "scene_px": (64, 48)})
    ingest(params, tmp_path / "one", workers=1)
    ingest(params, tmp_path / "two", workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_nobody_is_in_both_splits_also_not_in_scenes(made: Path) -> None:
    manifest = read_manifest(made)
    assert set(manifest["split"]) == {"train", "test"}
    assert (manifest.groupby("identity")["split"].nunique() == 1).all()
    pictures = {**dict(_splits(made, "crops")), **dict(_splits(made, "scenes"))}
    assert (manifest["image_id"].map(pictures) == manifest["split"]).all()


def _splits(folder: Path, table: str) -> Iterator[tuple[str, str]]:
    index = read_index(folder, table)  # type: ignore[arg-type]
    return zip(index["image_id"], index["split"], strict=True)


def test_the_manifest_lists_each_face_inside_its_image(made: Path) -> None:
    manifest = read_manifest(made)
    assert manifest["face_id"].is_unique
    assert (manifest[["x1", "y1"]] >= 0).all(axis=None)
    assert (manifest["x2"] <= manifest["image_width"]).all()
    assert (manifest["y2"] <= manifest["image_height"]).all()
    assert (manifest["x1"] < manifest["x2"]).all()
    assert (manifest["y1"] < manifest["y2"]).all()
    assert set(manifest["box_source"]) == {"exact"}
    assert manifest["capture"].dtype == np.int64
    assert not manifest[list(LANDMARK_COLUMNS)].isna().any(axis=None)
    assert set(manifest["tone"]) <= {"light", "medium", "dark"}
    assert set(manifest["light"]) <= {"side", "dim", "even"}


def test_crops_come_back_as_they_were_drawn(made: Path) -> None:
    crops = list(read_crops(made))
    assert len(crops) == 18
    assert {len({c.capture for c in crops if c.identity == name}) for name in {c.identity for c in crops}} == {3}
    for crop in crops:
        assert crop.pixels.shape == (64, 64, 3)
        assert crop.pixels.dtype == np.uint8
        assert np.all(crop.landmarks >= crop.box[:2])
        assert np.all(crop.landmarks <= crop.box[2:])
    assert {c.split for c in read_crops(made, "train")} == {"train"}


def test_scenes_come_back_with_the_faces_they_count(made: Path) -> None:
    counts = dict(zip(read_index(made, "scenes")["image_id"], read_index(made, "scenes")["n_faces"], strict=True))
    for scene in read_scenes(made):
        assert scene.pixels.shape == (120, 160, 3)
        assert scene.boxes.shape == (counts[scene.image_id], 4)
        assert scene.landmarks.shape == (counts[scene.image_id], 5, 2)
    assert [image_id for image_id, _ in read_images(made, "scenes")] == list(counts)


def test_a_scene_without_faces_is_known_to_have_none(tmp_path: Path) -> None:
    with Writer(tmp_path / "data") as writer:
        writer.add(picture("scenes", "empty", "test", np.full((8, 8, 3), 99, np.uint8), ()))
    (scene,) = read_scenes(tmp_path / "data")
    assert scene.boxes.shape == (0, 4)
    assert scene.condition is None
    assert len(read_manifest(tmp_path / "data")) == 0
    assert read_index(tmp_path / "data", "scenes")["n_faces"].tolist() == [0]


def test_a_failure_leaves_the_former_data_as_they_were(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    ingest(SMALL, folder)
    with pytest.raises(RuntimeError, match="half way"), Writer(folder):
        raise RuntimeError("half way")
    assert digests(folder) == digests(made)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_crop_shows_one_face(tmp_path: Path) -> None:
    face = Face(np.array([1, 1, 4, 4], np.float32), None, "labelled", "p", 0)
    with pytest.raises(ValueError, match="unpack"), Writer(tmp_path / "data") as writer:
        writer.add(picture("crops", "two", "test", np.zeros((8, 8, 3), np.uint8), (face, face)))


@pytest.mark.parametrize(
    ("count", "share", "tests"), [(10, 0.6, 6), (2, 0.9, 1), (2, 0.1, 1), (1, 0.5, 1), (0, 0.5, 0)]
)
def test_both_splits_get_some_where_there_are_two(count: int, share: float, tests: int) -> None:
    splits = split_of(count, share, np.random.default_rng(1))
    assert len(splits) == count
    assert splits.count("test") == tests


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people in folders of their own, a photo of nobody in particular, a broken file and a note."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for name, suffix in (("Adalind", "jpg"), ("Balduin", "png"), ("Cemile", "webp")):
        who = Identity.draw(rng)
        for index in range(2):
            save(folder / name / "nested" / f"{index}.{suffix}", portrait(who, Capture.draw(rng), 120).pixels)
    save(folder / "loose.jpg", portrait(Identity.draw(rng), Capture.draw(rng), 90).pixels)
    (folder / "Adalind" / "broken.jpg").write_bytes((folder / "loose.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="module")
def detect(detector: CenterFace) -> Detect:
    return lambda pixels: detector(pixels, 0.5)


@pytest.fixture(scope="module")
def own(photos: Path, detect: Detect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("own") / "ingested"
    summary = ingest(_folder(photos), out, detect=detect, key=KEY)
    assert (summary.scenes, summary.crops, summary.people) == (7, 6, 3)
    assert len(summary.skipped) == 1
    assert summary.skipped[0].startswith("Adalind/broken.jpg: ")
    return out


def _folder(folder: Path) -> Ingest:
    return SMALL.model_copy(update={"source": "folder", "folder": folder, "own_people": 0})


def test_folders_are_people_and_the_largest_face_is_theirs(own: Path) -> None:
    manifest = read_manifest(own)
    crops = manifest[manifest["source"] == "crop"]
    assert crops.groupby("identity")["capture"].apply(sorted).tolist() == [[0, 1]] * 3
    assert (manifest.groupby("identity")["split"].nunique() == 1).all()
    assert set(manifest["box_source"]) == {"detected"}
    assert manifest[manifest["source"] == "scene"]["identity"].isna().sum() == 1


def test_crops_of_photos_show_the_face_twice_its_size_in_the_middle(own: Path) -> None:
    for crop in read_crops(own):
        assert crop.pixels.shape == (64, 64, 3)
        assert np.allclose((crop.box[:2] + crop.box[2:]) / 2, 32, atol=1.5)
        assert (crop.box[2:] - crop.box[:2]).max() == pytest.approx(32, abs=1.5)
        assert np.all((crop.landmarks > crop.box[:2] - 2) & (crop.landmarks < crop.box[2:] + 2))


def test_photos_in_a_single_folder_are_of_nobody_in_particular(photos: Path, detect: Detect, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / "photos" / "holiday" / name, cv2.imread(str(photos / "loose.jpg"))[..., ::-1])
    summary = ingest(_folder(tmp_path / "photos"), tmp_path / "out", detect=detect, key=KEY)
    assert (summary.scenes, summary.crops, summary.people) == (2, 0, 0)
    assert set(read_index(tmp_path / "out", "scenes")["split"]) == {"train", "test"}


def test_no_name_leaves_the_folder_and_ids_depend_on_the_key(
    photos: Path, own: Path, detect: Detect, tmp_path: Path
) -> None:
    stored = b"".join(path.read_bytes() for path in own.iterdir())
    tables = read_manifest(own).to_string() + read_index(own, "crops").to_string()
    for name in ("Adalind", "Balduin", "Cemile", "nested", "loose"):
        assert name.encode() not in stored
        assert name not in tables
    ingest(_folder(photos), tmp_path / "same", detect=detect, key=KEY)
    assert digests(tmp_path / "same") == digests(own)
    ingest(_folder(photos), tmp_path / "other", detect=detect, key=b"x" * 32)
    names = [set(read_manifest(each)["identity"].dropna()) for each in (own, tmp_path / "other")]
    assert not names[0] & names[1]


def test_labels_count_where_there_are_some(photos: Path, detect: Detect, tmp_path: Path) -> None:
    labelled = tmp_path / "photos"
    photo = cv2.imread(str(photos / "loose.jpg"))[..., ::-1]
    wide = cv2.copyMakeBorder(photo, 0, 1600 - len(photo), 0, 1600 - len(photo), cv2.BORDER_CONSTANT)
    for name in ("labelled.jpg", "mislabelled.jpg", "unlabelled.jpg"):
        save(labelled / name, wide)
    labels = {
        "labelled.jpg": {"size": [800, 800], "boxes": [[200, 200, 600, 600], [700, 700, 900, 900]]},
        "mislabelled.jpg": {"size": [800, 400], "boxes": []},
    }
    (labelled / "boxes.json").write_text(json.dumps(labels))
    summary = ingest(_folder(labelled), tmp_path / "out", detect=detect, key=KEY)
    assert summary.skipped == ("mislabelled.jpg: boxes.json gives it a size of another shape",)
    manifest = read_manifest(tmp_path / "out")
    assert sorted(manifest["box_source"]) == ["detected", "labelled", "labelled"]
    boxes = manifest[manifest["box_source"] == "labelled"][["x1", "y1", "x2", "y2"]].to_numpy()
    assert boxes.tolist() == [[320, 320, 960, 960], [1120, 1120, 1280, 1280]]
    assert read_index(tmp_path / "out", "scenes")["width"].tolist() == [1280, 1280]


@pytest.mark.parametrize(
    "text", ["[]", '{"a.jpg": {"boxes": []}}', '{"a.jpg"', '{"a.jpg": {"size": [1], "boxes": []}}']
)
def test_labels_of_another_form_are_an_error(text: str, photos: Path, tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "boxes.json").write_text(text)
    with pytest.raises(PhotosError, match=r"boxes\.json cannot be used"):
        ingest(_folder(tmp_path), tmp_path / "out", detect=lambda _: Faces.none(), key=KEY)
    assert not (tmp_path / "out").exists()


def _nothing(folder: Path) -> None:
    (folder / "notes.txt").write_text("no photo")


def _broken(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(b"no photo either")


@pytest.mark.parametrize(("fill", "message"), [(_nothing, "holds no photo"), (_broken, r"can be read, such as a\.jpg")])
def test_a_folder_without_a_readable_photo_is_an_error(
    fill: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    fill(folder)
    with pytest.raises(PhotosError, match=message):
        ingest(_folder(folder), tmp_path / "out", detect=lambda _: Faces.none(), key=KEY)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_needs_a_detector_and_a_key(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a detector and a key"):
        ingest(_folder(photos), tmp_path / "out")


def test_the_key_is_made_once_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "ingest.key"
    first = secret_key(path)
    assert len(first) == 32
    assert secret_key(path) == first
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]


def test_all_who_need_the_key_at_the_same_time_get_the_same(tmp_path: Path) -> None:
    begin = threading.Barrier(8)

    def asked(path: Path) -> bytes:
        begin.wait()
        return secret_key(path)

    with ThreadPoolExecutor(8) as pool:
        for number in range(20):
            keys = set(pool.map(asked, [tmp_path / str(number) / "ingest.key"] * 8))
            assert [len(key) for key in keys] == [32]


def test_where_few_people_are_known_procedural_ones_stand_in(photos: Path, detect: Detect, tmp_path: Path) -> None:
    params = _folder(photos).model_copy(update={"own_people": 10})
    ingest(params, tmp_path / "out", detect=detect, key=KEY)
    manifest = read_manifest(tmp_path / "out")
    crops = manifest[manifest["source"] == "crop"]
    assert set(crops["box_source"]) == {"exact"}
    assert crops["identity"].nunique() == SMALL.identities
    assert set(manifest[manifest["source"] == "scene"]["box_source"]) == {"detected"}
