from pathlib import Path
from typing import Any

import pytest

from mlops.database import Database
from mlops.predictions import duck, lake
from mlops.predictions.landing import Landing
from mlops.predictions.question import Ask
from mlops.predictions.writer import Writer
from tests.patience import PATIENCE_SECONDS

HOUR = 1_700_000_000 // 3600 * 3600


def landed(root: Path) -> list[str]:
    query = "select identity from predictions order by time"
    return [str(row[0]) for row in duck.ask(Ask(str(root), query, 10_000, PATIENCE_SECONDS)).rows]


@pytest.fixture
def clock(clock: Any) -> Any:
    clock.now = HOUR + 1800.0
    return clock


@pytest.fixture
def landing(database: Database, tmp_path: Path, clock: Any) -> Landing:
    return Landing(database, tmp_path / "lake", 10 * 24 * 3600, clock)


def test_rows_land_once_as_they_come_and_whole_once_the_hour_is_over(
    database: Database, landing: Landing, clock: Any, tmp_path: Path, make
) -> None:
    writer, root = Writer(database), tmp_path / "lake"
    rows = [make(time=HOUR + 10.0 * number) for number in range(400)]
    for upto in (50, 120, 400):
        clock.now = HOUR + 10.0 * upto
        writer.insert(rows[:upto])
        landing.land()
        assert landed(root) == [row.identity for row in rows if row.time < clock.now - 5]
    # An hour and a bit: the first hour still has its parts.
    folder = lake.folder_of(root, "predictions", HOUR)
    assert lake.rows_of(folder) is None
    clock.now = HOUR + 3600 + 700
    landing.land()
    assert [place.name for place in folder.iterdir()] == ["whole-360.parquet"]
    assert landed(root) == [row.identity for row in rows]
    landing.land()
    assert landed(root) == [row.identity for row in rows]


def test_rows_that_come_late_land_too(database: Database, clock: Any, tmp_path: Path, make) -> None:
    writer, root = Writer(database), tmp_path / "lake"
    landing = Landing(database, root, 4 * 3600, clock)
    writer.insert([make(time=HOUR + 10.0), make(time=HOUR + 4000.0)])
    clock.now = HOUR + 2 * 3600
    landing.land()
    assert len(landed(root)) == 2
    late = [make(time=HOUR + 20.0), make(time=HOUR - 3600.0)]
    writer.insert(late)
    # One hour of the last three is looked at each time.
    for _ in range(3):
        landing.land()
    assert {row.identity for row in late} <= set(landed(root))
    assert len(landed(root)) == 4


def test_what_is_old_goes(database: Database, tmp_path: Path, clock: Any, make) -> None:
    root = tmp_path / "lake"
    Writer(database).insert([make(time=HOUR + 10.0)])
    landing = Landing(database, root, 7200, clock)
    landing.land()
    assert len(landed(root)) == 1
    clock.now = HOUR + 3600 + 7200
    landing.land()
    assert landed(root) == []
    assert not lake.folder_of(root, "predictions", HOUR).exists()


def test_an_idle_platform_lands_nothing(landing: Landing, tmp_path: Path) -> None:
    landing.land()
    assert list((tmp_path / "lake").rglob("*.parquet")) == []


def test_two_do_not_land_the_same_rows(database: Database, clock: Any, landing: Landing, tmp_path: Path, make) -> None:
    Writer(database).insert([make(time=HOUR + 10.0)])
    with lake.alone(tmp_path / "lake", "predictions") as folder:
        assert folder is not None
        landing.land()
        assert list((tmp_path / "lake").rglob("*.parquet")) == []
    landing.land()
    assert len(landed(tmp_path / "lake")) == 1


def test_a_whole_hour_stands_for_its_parts(tmp_path: Path) -> None:
    folder = lake.folder_of(tmp_path, "predictions", HOUR)
    folder.mkdir(parents=True)
    for name in ("part-1-2.parquet", "part-2-3.parquet"):
        (folder / name).touch()
    assert [place.name for place in lake.files(tmp_path, "predictions")] == ["part-1-2.parquet", "part-2-3.parquet"]
    for name in ("whole-9.parquet", "whole-10.parquet"):
        (folder / name).touch()
    assert [place.name for place in lake.files(tmp_path, "predictions")] == ["whole-10.parquet"]
    assert lake.landed_until(tmp_path, "predictions") == HOUR + 3600
