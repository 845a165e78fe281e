import time
from pathlib import Path

import numpy as np
import pytest

from mlops.audit import TABLES
from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions import duck
from mlops.predictions.capture_file import MASKED, RAW, Capture, files, write_captures
from mlops.predictions.captures import seals
from mlops.predictions.grants import GrantStore
from mlops.predictions.grants_file import read_leases
from mlops.predictions.question import Ask
from mlops.predictions.recorder import Recorder, database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import PredictionStore, Query
from mlops.settings import Settings, load_settings
from services.worker.keeping import keeping_rounds


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db",
            "MASKER_PREDICTIONS__SPOOL_PATH": f"{tmp_path}/spool",
            "MASKER_PREDICTIONS__PARQUET_PATH": f"{tmp_path}/lake",
            "MASKER_PREDICTIONS__KEEP_SECONDS": "36000",
            "MASKER_CAPTURE__PATH": f"{tmp_path}/captures",
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
        }
    )


def go_round(settings: Settings, name: str, metrics: Metrics | None = None) -> None:
    for each in keeping_rounds(settings, metrics or Metrics()):
        if each.name == name:
            each.run()
        each.close()


def row(moment: float) -> Prediction:
    return Prediction(new_identity(), moment, "faces", "m", "1", "champion", "", "", "", "ok", 200, 0.1)


def stored(settings: Settings) -> list[Prediction]:
    database = database_of(settings.predictions)
    found = PredictionStore(database).find(Query())
    database.close()
    return found


def test_what_a_dead_process_left_comes_in(settings: Settings, tmp_path: Path) -> None:
    place = tmp_path / "p.db"
    place.mkdir()
    recorder = Recorder(settings.predictions, Metrics())
    recorder.open()
    recorder.record(row(time.time()))
    recorder.close()
    metrics = Metrics()
    # As long as the database is away, that is told and nothing else happens.
    go_round(settings, "bring-predictions", metrics)
    place.rmdir()
    go_round(settings, "bring-predictions", metrics)
    assert len(stored(settings)) == 1
    assert metrics.registry.get_sample_value("masker_predictions_written_total") == 1


def test_what_is_old_goes_and_what_is_new_lands(settings: Settings, tmp_path: Path) -> None:
    recorder = Recorder(settings.predictions, Metrics())
    recorder.open()
    kept = row(time.time() - 60)
    for each in (row(time.time() - 40_000), kept):
        recorder.record(each)
    recorder.close()
    go_round(settings, "expire-predictions")
    assert stored(settings) == [kept]
    go_round(settings, "land-predictions")
    table = duck.ask(Ask(f"{tmp_path}/lake", "select identity, seconds from predictions", 10, 5.0))
    assert table.rows == [[kept.identity, 0.1]]


def test_captures_go_when_their_time_is_over_and_serving_learns_of_grants(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    sealed = seals(settings.capture, None)
    one = Capture(new_identity(), time.time(), "faces", "m", "1", "champion")
    for ending in (MASKED, RAW):
        write_captures(folder, [one], ending, sealed[ending], time.time() - 100, 50)
        write_captures(folder, [one], ending, sealed[ending], time.time(), 50)
    platform = Database(settings.database, TABLES)
    GrantStore(platform).grant("faces", "ann", "a face was missed", 100)
    platform.close()
    go_round(settings, "keep-captures")
    assert (len(files(folder, MASKED)), len(files(folder, RAW))) == (1, 1)
    assert 0 < read_leases(folder).seconds_left("faces", time.time()) <= 100


def test_the_numbers_of_captures_land_once_and_by_the_hour(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    seal = seals(settings.capture, None)[MASKED]

    def capture(number: int) -> Capture:
        features = {"x": np.array([[1.0, number]]), "word": "12", "bad": np.array([np.nan])}
        return Capture(
            new_identity(), time.time(), "demo", "m", "1", "champion", features, {"label": np.array([number])}
        )

    long_ago = time.time() - 3 * 3600
    write_captures(folder, [capture(1), capture(2)], MASKED, seal, long_ago, 10**6)
    write_captures(folder, [capture(3)], MASKED, seal, long_ago + 1, 10**6)
    write_captures(folder, [capture(4)], MASKED, seal, time.time(), 10**6)
    (folder / f"{int(time.time() * 1000)}-{10**15}-00{MASKED}").write_bytes(b"damaged")
    for _ in range(2):
        go_round(settings, "land-captures")
    asked = "select name, shape, numbers from features where name <> 'bad' order by numbers"
    table = duck.ask(Ask(f"{tmp_path}/lake", asked, 100, 5.0))
    assert table.rows == [["x", [1, 2], [1.0, float(number)]] for number in (1, 2, 3, 4)]
    labels = duck.ask(Ask(f"{tmp_path}/lake", "select numbers[1] from results order by 1", 100, 5.0))
    assert labels.rows == [[1.0], [2.0], [3.0], [4.0]]
    wholes = sorted(place.name for place in (tmp_path / "lake" / "features").glob("*/whole-*"))
    assert wholes == ["whole-6.parquet"]
