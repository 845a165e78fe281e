"""What versions hide and keep, out of a real registry on a database file, as a table and as pictures."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from mlops.registry.mlflow import Registry, Version
from mlops.registry.settings import RegistrySettings
from mlops.settings import load_settings
from pipelines.tracking import run_of
from pipelines.version_charts import Panel, Point, draw
from pipelines.versions import faces, measured, shipped_points, voices, write
from pipelines.voice.history import Shipped

LABELS = ("kept", "reached")


@pytest.fixture
def settings(empty_registry: Path, tmp_path: Path) -> Iterator[RegistrySettings]:
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    given = load_settings(environ={}).registry
    changed = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": str(tmp_path / "artifacts")}
    yield given.model_copy(update=changed)
    mlflow.set_tracking_uri("sqlite:///:memory:")


def version(number: str = "3", name: str = "some") -> Version:
    return Version(name, number, "d", {"data_version": "of today"}, ("champion",), "run", 0)


def test_a_version_of_faces_has_a_row_for_each_style_of_which_both_was_measured() -> None:
    figures = {
        "privacy.face.unmasked.rank1": 0.6,
        "privacy.face.solid.rank1": 0.07,
        "privacy.face.solid.rank1_low": 0.03,
        "privacy.face.solid.rank1_high": 0.13,
        "privacy.face.solid.naive.rank1": 0.01,
        "privacy.face.blur.rank1": 0.3,
        "utility.solid.face_found": 0.0,
    }
    rows = {row.masker: row for row in faces(version(), figures)}
    assert set(rows) == {"no mask", "solid"}, "how blur keeps faces was not measured"
    solid = rows["solid"]
    assert (solid.privacy, solid.low, solid.high, solid.utility) == (0.07, 0.03, 0.13, 0.0)
    assert (solid.version, solid.standing, solid.data) == (3, "champion", "of today")
    assert faces(version(), {}) == []


def test_a_version_of_voices_stands_beside_no_mask_and_mcadams() -> None:
    figures = {"eer": 0.35, "eer_low": 0.3, "eer_high": 0.4, "words": 0.8, "none.eer": 0.02, "none.words": 0.9}
    rows = {row.masker: row for row in voices(version(), {**figures, "mcadams.eer": 0.1})}
    assert {name: row.privacy for name, row in rows.items()} == {"strong": 0.35, "no mask": 0.02, "McAdams": 0.1}
    assert rows["no mask"].utility == 0.9
    assert rows["McAdams"].utility != rows["McAdams"].utility, "its words were not asked for"
    assert voices(version(), {}) == []


def test_every_registered_version_is_drawn_with_the_figures_of_its_run(
    settings: RegistrySettings, tmp_path: Path
) -> None:
    registry = Registry(settings.tracking_uri)
    for eer in (0.3, 0.35):
        with run_of(settings, settings.voice_model, "a run", {}) as run_id:
            mlflow.log_metrics({"eer": eer, "words": 0.8, "none.eer": 0.02})
            registry.register(settings.voice_model, run_id, "bundle", "digest", {"data_version": "today"})
    registry.promote(settings.voice_model, "2")
    rows = [row for found, figures in measured(registry, settings.voice_model) for row in voices(found, figures)]
    strong = [(row.version, row.privacy, row.standing) for row in rows if row.masker == "strong"]
    assert strong == [(1, 0.3, ""), (2, 0.35, "champion")]

    shipped = [Shipped(1, "ab", "first", "strong", 0.34, 0.3, 0.4, 0.1, 0.8, 0.7, 0.7, 2.6, 70)]
    table, plots = tmp_path / "reports/versions.csv", tmp_path / "plots"
    write(rows, shipped, table, plots, settings.voice_model)
    with table.open(newline="") as file:
        told = list(csv.DictReader(file))
    assert [(row["version"], row["masker"]) for row in told] == [
        ("1", "strong"), ("1", "no mask"), ("2", "strong"), ("2", "no mask"),
    ]  # fmt: skip
    picture = (plots / "voices.svg").read_text()
    assert "70 recorded people" in picture
    assert "no version has figures" in (plots / "faces.svg").read_text()
    assert "http://" not in picture.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "a picture fetches nothing"


def test_the_same_points_give_the_same_picture_and_another_version_another_one(tmp_path: Path) -> None:
    first = [Point("strong", 1, 0.8, 0.3, 0.25, 0.35), Point("no mask", 1, 0.9, 0.02, float("nan"), float("nan"))]
    second = [*first, Point("strong", 2, 0.85, 0.36, 0.3, 0.4), Point("McAdams", 2, float("nan"), 0.1, 0.05, 0.15)]
    for name, points in (("one", first), ("same", first), ("other", second)):
        draw([Panel("here", points), Panel("there", [])], LABELS, tmp_path / f"{name}.svg")
    one, same, other = ((tmp_path / f"{name}.svg").read_text() for name in ("one", "same", "other"))
    assert one == same
    assert one != other
    assert "McAdams" in other
    assert "McAdams" not in one


def test_shipped_models_are_points_by_name() -> None:
    row = Shipped(2, "ab", "first", "mcadams", 0.1, 0.05, 0.15, 0.7, 0.6, 0.5, 0.4, 2.5, 70)
    assert shipped_points([row]) == [Point("McAdams", 2, 0.6, 0.1, 0.05, 0.15)]
