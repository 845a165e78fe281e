import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from pipelines import dataset, ingest, schemas, validate
from pipelines.data_docs import fetched
from pipelines.params import Ingest
from pipelines.rules import RULES

SIDE = 48
PARAMS = """
validation: {min_identities_per_split: 2, min_captures: 2, min_scenes: 4}
register: {gate: [{metric: recall, at_least: 0.5}]}
voice_register: {gate: [{metric: valid, at_least: 1}]}
"""
Tables = dict[str, list[dict[str, Any]]]


def encode(pixels: NDArray[np.uint8]) -> bytes:
    return dataset.picture("scenes", "", "train", pixels, ()).image


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def picture(seed: int, width: int = SIDE, height: int = SIDE) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return encode(coarse.repeat(8, 0).repeat(8, 1))


def face(image: Mapping[str, Any], number: int, source: str, **more: object) -> dict[str, Any]:
    landmarks = dict.fromkeys(dataset.LANDMARK_COLUMNS, 20.0)
    box = {"x1": 4.0, "y1": 4.0, "x2": 40.0, "y2": 44.0}
    return {
        "face_id": f"{image['image_id']}-{number}",
        "image_id": image["image_id"],
        "source": source,
        "identity": None,
        "capture": 0,
        "split": image["split"],
        "image_width": image["width"],
        "image_height": image["height"],
        "box_source": "exact",
        "image_sha256": digest(image["image"]),
        "tone": "light",
        "light": "dim",
        "yaw": 12.5,
        **box,
        **landmarks,
        **more,
    }


def tables() -> Tables:
    """Four people with two crops each, and four scenes of 0, 1, 2 and 1 faces; half of them in either split."""
    crops, scenes, faces = [], [], []
    for person in range(4):
        for capture in range(2):
            data, who = picture(10 * person + capture), {"identity": f"p{person}", "capture": capture}
            row = {"image_id": f"crop-{person}{capture}", "split": "train" if person < 2 else "test", "image": data}
            crops.append(row | {"width": SIDE, "height": SIDE} | who)
            faces.append(face(crops[-1], 0, "crop", **who))
    for scene, count in enumerate((0, 1, 2, 1)):
        row = {
            "image_id": f"scene-{scene}",
            "split": "train" if scene < 2 else "test",
            "image": picture(100 + scene, 96),
        }
        scenes.append(row | {"width": 96, "height": SIDE, "n_faces": count, "condition": "plain"})
        faces += [face(scenes[-1], number, "scene") for number in range(count)]
    return {"manifest": faces, "crops": crops, "scenes": scenes}


def swap_image(rows: Tables, table: str, position: int, data: bytes) -> None:
    image = rows[table][position]
    image["image"] = data
    for row in rows["manifest"]:
        if row["image_id"] == image["image_id"]:
            row["image_sha256"] = digest(data)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def write(rows: Tables) -> None:
    validate.INGESTED.mkdir(parents=True, exist_ok=True)
    for name, schema in dataset.SCHEMAS.items():
        pq.write_table(pa.Table.from_pylist(rows[name], schema), validate.INGESTED / f"{name}.parquet")


def run(rows: Tables, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    write(rows)
    code = validate.main()
    return code, capsys.readouterr().err


def cast(table: pa.Table, column: str, kind: pa.DataType) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, table[column].cast(kind))


def test_sound_data_pass_and_are_documented_the_same_each_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(tables(), capsys)

    assert (code, said) == (0, f"validate: {len(RULES)} rules kept; Data Docs are in reports/data-docs/index.html\n")
    summary = json.loads(validate.REPORT.read_text())
    assert summary["passed"] is True
    assert summary["counts"] == {
        "train": {"faces": 5, "crops": 4, "scenes": 2, "identities": 2},
        "test": {"faces": 7, "crops": 4, "scenes": 2, "identities": 2},
    }
    assert {name for name, rule in summary["rules"].items() if rule["checked_on"]} == set(RULES)
    pages = {str(page.relative_to(validate.DOCS)): page.read_text() for page in validate.DOCS.rglob("*.html")}
    shown = " ".join(pages.values())
    set_level = [name for name, rule in summary["rules"].items() if "set" in rule["checked_on"]]
    assert [name for name in set_level if f"{name}: {RULES[name].meaning}" not in shown] == []
    first = validate.REPORT.read_bytes()
    assert (validate.main(), validate.REPORT.read_bytes()) == (0, first)


def test_data_docs_load_nothing_and_their_links_lead_somewhere(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tables()
    rows["manifest"][0]["face_id"] = rows["manifest"][1]["face_id"] = "<script src='https://example.org/x.js'></script>"
    run(rows, capsys)

    pages = list(validate.DOCS.rglob("*.html"))
    assert len(pages) == 9  # the index, and two for each of four frames
    assert {path.suffix for path in validate.DOCS.rglob("*") if path.is_file()} == {".html"}
    for page in pages:
        text = page.read_text()
        assert fetched(text) == []
        links = [link for link in re.findall(r'href="([^"]+)"', text) if not link.startswith(("#", "https://"))]
        assert all((page.parent / link.partition("#")[0]).is_file() for link in links)
    index = (validate.DOCS / "index.html").read_text()
    assert all(f"expectations/{frame}.html" in index for frame in ("manifest", "images", "identities", "sets"))


def duplicate_face(rows: Tables) -> None:
    rows["manifest"][3]["face_id"] = rows["manifest"][2]["face_id"]


def duplicate_image(rows: Tables) -> None:
    rows["crops"].append(dict(rows["crops"][5]))


def image_id_in_both_tables(rows: Tables) -> None:
    rows["scenes"][0]["image_id"] = "crop-20"


def box_outside(rows: Tables) -> None:
    rows["manifest"][1]["x2"] = 130.0
    rows["manifest"][9]["y1"] = -1.5


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


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("manifest", lambda t: t.drop_columns("x2"), "columns: 1 row: column x2 of manifest (missing)"),
        ("crops", lambda t: t.drop_columns("image"), "columns: 1 row: column image of crops (missing)"),
        (
            "scenes",
            lambda t: t.append_column("name", t["image_id"]),
            "columns: 1 row: column name of scenes (not in the schema)",
        ),
        (
            "manifest",
            lambda t: cast(t, "x1", pa.float64()),
            "column_types: 1 row: column x1 of manifest (float64, not float32)",
        ),
        (
            "crops",
            lambda t: cast(t, "width", pa.int32()),
            "column_types: 1 row: column width of crops (Int32, not Int64)",
        ),
        (
            "crops",
            lambda t: cast(t, "width", pa.string()),
            "column_types: 1 row: column width of crops (str, not Int64)",
        ),
        ("scenes", lambda t: cast(t, "n_faces", pa.float64()), "column n_faces of scenes (float64, not Int64)"),
        (
            "scenes",
            lambda t: t.set_column(t.schema.get_field_index("image"), "image", t["image_id"]),
            "column_types: 1 row: column image of scenes (string, not binary)",
        ),
    ],
)
def test_table_of_another_structure_stops_the_pipeline(
    table: str, change: Callable[[pa.Table], pa.Table], message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tables())
    path = validate.INGESTED / f"{table}.parquet"
    pq.write_table(change(pq.ParquetFile(path).read()), path)

    assert validate.main() == 1
    assert f"{message}\n" in capsys.readouterr().err
    assert not validate.REPORT.exists()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1 and no more")])
def test_table_that_cannot_be_read_stops_the_pipeline(
    damage: Callable[[Path], object], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tables())
    damage(validate.INGESTED / "crops.parquet")

    assert validate.main() == 1
    assert capsys.readouterr().err.startswith("validate: data/ingested cannot be read: ")


def test_photos_of_unknown_people_pass_and_the_rules_of_identities_do_not_apply(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tables()
    rows["crops"] = []
    rows["manifest"] = [face for face in rows["manifest"] if face["source"] == "scene"]
    for row in (*rows["manifest"], *rows["scenes"]):
        row |= dict.fromkeys({"tone", "light", "yaw", "condition", *dataset.LANDMARK_COLUMNS} & row.keys())
        row |= {"box_source": "detected"} if "box_source" in row else {}
    code, said = run(rows, capsys)

    assert code == 0, said
    rules = json.loads(validate.REPORT.read_text())["rules"]
    unchecked = {name for name, rule in rules.items() if not rule["checked_on"]}
    assert unchecked == {"enough_identities", "enough_captures", "one_split_per_identity"}


def test_what_ingest_makes_passes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = Ingest(identities=4, captures=2, scenes=5, crop_px=64, scene_px=(160, 128), test_share=0.5)
    ingest.ingest(params, validate.INGESTED, workers=1)
    capsys.readouterr()

    assert (validate.main(), capsys.readouterr().err.count("rules kept")) == (0, 1)


def test_schemas_name_the_columns_that_are_written() -> None:
    written = {name: set(schema.names) - {"image"} for name, schema in dataset.SCHEMAS.items()}
    assert {name: set(schema.columns) for name, schema in schemas.SCHEMAS.items()} == written


def test_command_says_one_line_and_leaves_nothing_behind(home: Path) -> None:
    rows = tables()
    box_outside(rows)
    write(rows)
    (home / "tmp").mkdir()
    root = Path(validate.__file__).parents[1]
    environment = {"PYTHONPATH": str(root), "TMPDIR": str(home / "tmp"), "HOME": str(home), "PATH": os.defpath}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.validate"], env=environment, capture_output=True, text=True, timeout=120
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("validate: boxes_inside_image: 2 rows: ")
    assert done.stderr.count("\n") == 1
    assert list((home / "tmp").iterdir()) == []
    assert {path.name for path in home.iterdir()} == {"data", "params.yaml", "reports", "tmp"}


@pytest.mark.parametrize(
    "page",
    [
        "<img src='https://example.org/a.png'>",
        "<p style='background: url(https://example.org/a.png)'>",
        "<style>@import 'https://example.org/a.css'</style>",
        "<script>fetch('https://example.org')</script>",
        "<p onclick='go()'>",
        "<link rel=icon href=https://example.org/a.ico>",
        "<iframe srcdoc='x'></iframe>",
    ],
)
def test_anything_that_a_page_would_fetch_is_seen(page: str) -> None:
    assert fetched(f"<html><head></head><body>{page}</body></html>") != []
    assert fetched('<a href="https://example.org">a link</a>') == []
