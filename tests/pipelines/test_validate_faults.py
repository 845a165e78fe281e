"""Every fault that is planted in the data stops the pipeline, and is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines import dataset, validate
from tests.pipelines.face_tables import SIDE, Tables, box_outside, encode, face, picture, run, swap_image, tables


def duplicate_face(rows: Tables) -> None:
    rows["manifest"][3]["face_id"] = rows["manifest"][2]["face_id"]


def duplicate_image(rows: Tables) -> None:
    rows["crops"].append(dict(rows["crops"][5]))


def image_id_in_both_tables(rows: Tables) -> None:
    rows["scenes"][0]["image_id"] = "crop-20"


def box_inside_out(rows: Tables) -> None:
    rows["manifest"][1].update(x1=40.0, x2=4.0)


def box_missing(rows: Tables) -> None:
    rows["manifest"][5]["x2"] = None


def no_landmarks(rows: Tables) -> None:
    rows["manifest"][7]["nose_x"] = None


def number_out_of_range(rows: Tables) -> None:
    rows["manifest"][2]["yaw"] = 200.0


def flat_image(rows: Tables) -> None:
    swap_image(rows, "crops", 4, encode(np.full((SIDE, SIDE, 3), 90, np.uint8)))


def no_image(rows: Tables) -> None:
    swap_image(rows, "scenes", 1, b"")


def null_image(rows: Tables) -> None:
    rows["crops"][6]["image"] = None


def truncated_image(rows: Tables) -> None:
    swap_image(rows, "crops", 2, rows["crops"][2]["image"][:-200])


def not_an_image(rows: Tables) -> None:
    swap_image(rows, "crops", 2, b"not a picture")


def other_size(rows: Tables) -> None:
    swap_image(rows, "crops", 3, picture(7, 56))


def manifest_of_other_size(rows: Tables) -> None:
    rows["manifest"][3]["image_width"] = 64


def other_image(rows: Tables) -> None:
    rows["crops"][6]["image"] = picture(77)


def identity_leaks(rows: Tables) -> None:
    rows["crops"][1]["split"] = rows["manifest"][1]["split"] = "test"
    rows["crops"].append(rows["crops"][0] | {"image_id": "crop-02", "image": picture(5), "capture": 2})
    rows["manifest"].append(face(rows["crops"][-1], 0, "crop", identity="p0", capture=2))


def other_person(rows: Tables) -> None:
    rows["crops"][0]["identity"] = None


def picture_leaks(rows: Tables) -> None:
    swap_image(rows, "scenes", 3, rows["scenes"][1]["image"])


def split_of_face_only(rows: Tables) -> None:
    rows["manifest"][-1]["split"] = "train"


def face_without_image(rows: Tables) -> None:
    rows["manifest"][-1]["image_id"] = "scene-9"


def face_listed_twice(rows: Tables) -> None:
    rows["manifest"].append(rows["manifest"][-1] | {"face_id": "one-more"})


def unknown_split(rows: Tables) -> None:
    rows["scenes"][2]["split"] = "validation"


def too_few_captures(rows: Tables) -> None:
    del rows["crops"][7], rows["manifest"][7]


def too_few_identities(rows: Tables) -> None:
    del rows["crops"][6:], rows["manifest"][6:8]


def too_few_scenes(rows: Tables) -> None:
    del rows["scenes"][0]


def tiny_face(rows: Tables) -> None:
    rows["manifest"][8].update(x2=6.0)


def no_rows(rows: Tables) -> None:
    for table in rows.values():
        table.clear()


# Faults of a group break different rules, or the same rule in rows that are named in turn, so that one run finds all.
FAULTS: dict[str, list[tuple[Callable[[Tables], None], str]]] = {
    "first": [
        (duplicate_face, "unique_ids: 2 rows: face crop-10-0, face crop-10-0"),
        (
            box_outside,
            "boxes_inside_image: 2 rows: face crop-01-0 (x2=130 > image_width=48), face scene-2-0 (y1=-1.5 < 0)",
        ),
        (flat_image, "images_not_empty: 1 row: image crop-20 (pixel_std=0)"),
        (no_image, "images_decode: 1 row: image scene-1 (fault=there are no bytes)"),
        (face_listed_twice, "face_counts_match: 1 row: image scene-3 (n_faces=1, faces_listed=2)"),
        (no_landmarks, "crops_aligned: 1 row: face crop-31-0"),
    ],
    "second": [
        (duplicate_image, "unique_ids: 2 rows: image crop-21, image crop-21"),
        (box_inside_out, "boxes_inside_image: 1 row: face crop-01-0 (x2=4 <= x1=40)"),
        (truncated_image, "images_decode: 1 row: image crop-10 (fault="),
        (
            other_size,
            "image_sizes_match: 1 row: image crop-11 (width=48, height=48, decoded_width=56, decoded_height=48)",
        ),
        (other_image, "image_digests_match: 1 row: face crop-30-0 (image_id=crop-30)"),
        (split_of_face_only, "splits_agree: 1 row: face scene-3-0 (image_id=scene-3, split=train, stored_split=test)"),
    ],
    "third": [
        (image_id_in_both_tables, "unique_ids: 2 rows: image crop-20, image crop-20"),
        (box_missing, "no_missing_values: 1 row: face crop-21-0 (x2=nan)"),
        (null_image, "images_decode: 1 row: image crop-30 (fault=there are no bytes)"),
        (manifest_of_other_size, "image_sizes_match: 1 row: face crop-11-0 (image_width=64, image_height=48"),
        (identity_leaks, "one_split_per_identity: 1 row: face crop-01-0 (identity=p0, split=test, home_split=train)"),
        (number_out_of_range, "value_ranges: 1 row: face crop-10-0 (yaw=200.0)"),
    ],
    "fourth": [
        (not_an_image, "images_decode: 1 row: image crop-10 (fault=only JPEG, PNG and WebP pictures are masked here)"),
        (other_person, "identities_agree: 1 row: face crop-00-0 (identity=p0, stored_identity=nan)"),
        (picture_leaks, "one_split_per_picture: 1 row: image scene-3 (split=test, home_split=train)"),
        (face_without_image, "faces_have_images: 1 row: face scene-3-0 (image_id=scene-9, source=scene)"),
        (unknown_split, "known_values: 1 row: image scene-2 (split=validation)"),
        (tiny_face, "faces_large_enough: 1 row: face scene-1-0 (face_side=2)"),
    ],
    "few": [
        (too_few_captures, "enough_captures: 1 row: identity p3 (captures=1)"),
        (too_few_scenes, "enough_scenes: 1 row: set all (scenes=3)"),
    ],
    "fewer": [(too_few_identities, "enough_identities: 1 row: set test (identities=1)")],
    "none": [
        (no_rows, "enough_scenes: 1 row: set all (scenes=0)"),
        (no_rows, "enough_faces: 1 row: set all (faces=0)"),
    ],
}


@pytest.mark.parametrize("group", FAULTS)
def test_planted_faults_stop_the_pipeline_and_are_named(
    group: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate.REPORT.parent.mkdir()
    validate.REPORT.write_text("the report of sound data")
    rows = tables()
    for plant, _ in FAULTS[group]:
        plant(rows)
    code, said = run(rows, capsys)

    assert code == 1
    assert [message for _, message in FAULTS[group] if f"validate: {message}" not in said] == [], said
    assert not validate.REPORT.exists()
    assert (validate.DOCS / "index.html").is_file()


def test_only_the_first_rows_are_named_and_all_are_counted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tables()
    for row in rows["manifest"]:
        row["y2"] = 1000.0
    code, said = run(rows, capsys)

    line = next(line for line in said.splitlines() if "boxes_inside_image" in line)
    assert code == 1
    assert line.startswith("validate: boxes_inside_image: 12 rows: face crop-00-0 (y2=1000 > image_height=48), ")
    assert line.endswith(", … and 7 more")


def test_a_missing_value_in_any_column_is_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tables()
    maybe_empty = {*dataset.LANDMARK_COLUMNS, "identity", "tone", "light", "yaw", "condition", "image"}
    expected = []
    for table, schema in dataset.SCHEMAS.items():
        for position, column in enumerate(name for name in schema.names if name not in maybe_empty):
            rows[table][position % len(rows[table])][column] = None
            expected.append(column)
    code, said = run(rows, capsys)

    line = next(line for line in said.splitlines() if "no_missing_values" in line)
    assert (code, line.split(": ")[2]) == (1, f"{len(expected)} rows")
