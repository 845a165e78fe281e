import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import dataset, ingest, schemas, validate
from pipelines.data_docs import fetched
from pipelines.params import Ingest
from pipelines.rules import RULES
from tests.pipelines.face_tables import box_outside, cast, run, tables, write


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
        [sys.executable, "-m", "pipelines.validate"], env=environment, capture_output=True, text=True, timeout=600
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
