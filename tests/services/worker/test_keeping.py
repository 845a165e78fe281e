import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from mlops.audit import TABLES
from mlops.database import Database
from mlops.metrics import Metrics
from mlops.predictions import duck, landing
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
from tests.patience import PATIENCE_SECONDS


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


def test_what_a_dead_process_left_comes_in(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "p.db"
    place.mkdir()
    recorder = Recorder(settings.predictions, Metrics())
    recorder.open()
    recorder.record(row(time.time()))
    recorder.close()
    metrics = Metrics()
    # As long as the database is away, that is told and nothing else happens.
    (bring,) = (each for each in keeping_rounds(settings, metrics) if each.name == "bring-predictions")
    for _ in range(5):
        bring.run()
    assert 1 <= sum(record.message == "predictions were not kept in order" for record in caplog.records) < 5
    place.rmdir()
    bring.run()
    bring.close()
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
    metrics = Metrics()
    began = time.time()
    go_round(settings, "land-predictions", metrics)
    landed = metrics.registry.get_sample_value("masker_predictions_landed_seconds")
    assert landed is not None
    assert began - 20 < landed <= time.time()
    table = duck.ask(Ask(f"{tmp_path}/lake", "select identity, seconds from predictions", 10, PATIENCE_SECONDS))
    assert table.rows == [[kept.identity, 0.1]]


def test_what_has_not_landed_is_told_by_its_time(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "LAG_SECONDS", PATIENCE_SECONDS)
    recorder = Recorder(settings.predictions, Metrics())
    recorder.open()
    # So new that it waits for the next landing.
    fresh = row(time.time())
    recorder.record(fresh)
    recorder.close()
    metrics = Metrics()
    go_round(settings, "land-predictions", metrics)
    landed = metrics.registry.get_sample_value("masker_predictions_landed_seconds")
    assert landed == pytest.approx(fresh.time, abs=0.002)


def test_the_room_of_captures_is_shown(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    go_round(settings, "keep-captures")
    (folder / f"{int(time.time() * 1000)}-{10**15}-00{MASKED}").write_bytes(bytes(1000))

    def shown(most_bytes: int, reserve_bytes: int) -> tuple[float, float]:
        bounds = {"most_bytes": most_bytes, "reserve_bytes": reserve_bytes}
        capture = settings.capture.model_copy(update=bounds)
        go_round(settings.model_copy(update={"capture": capture}), "keep-captures", metrics := Metrics())
        taken, room = (metrics.registry.get_sample_value(f"masker_captures_{each}bytes") for each in ("", "room_"))
        assert taken is not None
        assert room is not None
        return taken, room

    taken, room = shown(100_000, 0)
    assert taken >= 1000
    assert room == 100_000 - taken
    assert shown(500, 0)[1] == 0, "there are more already"
    # What else is written on the disk meanwhile is not the test's.
    assert 0 < shown(10**18, 0)[1] < shutil.disk_usage(folder).total, "what the disk has left"
    assert shown(10**18, 10**18)[1] == 0, "what the disk has left is not to be touched"


def test_captures_go_when_their_time_is_over_and_serving_learns_of_grants(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    sealed = seals(settings.capture, None)
    one = Capture(new_identity(), time.time(), "faces", "m", "1", "champion")
    for ending in (MASKED, RAW):
        old = write_captures(folder, [one], ending, sealed[ending], time.time() - 100, 50)
        (folder / f".{old.name}").write_bytes(b"cut off")
        write_captures(folder, [one], ending, sealed[ending], time.time(), 3600)
    platform = Database(settings.database, TABLES)
    GrantStore(platform).grant("faces", "ann", "a face was missed", 1000)
    platform.close()
    go_round(settings, "keep-captures")
    assert (len(files(folder, MASKED)), len(files(folder, RAW))) == (1, 1)
    assert list(folder.glob(".*-*")) == []
    assert 0 < read_leases(folder).seconds_left("faces", time.time()) <= 1000


def test_the_numbers_of_captures_land_once_and_by_the_hour(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    seal = seals(settings.capture, None)[MASKED]

    def capture(number: int) -> Capture:
        features = {"x": np.array([[1.0, number]]), "word": "12", "bad": np.array([np.nan])}
        return Capture(
            new_identity(), time.time(), "demo", "m", "1", "champion", features, {"label": np.array([number])}
        )

    # In the middle of an hour, which both files then lie in.
    long_ago = (time.time() // 3600 - 3) * 3600 + 1800
    write_captures(folder, [capture(1), capture(2)], MASKED, seal, long_ago, 10**6)
    write_captures(folder, [capture(3)], MASKED, seal, long_ago + 1, 10**6)
    write_captures(folder, [capture(4)], MASKED, seal, time.time(), 10**6)
    (folder / f"{int(time.time() * 1000)}-{10**15}-00{MASKED}").write_bytes(b"damaged")
    allowed = settings.model_copy(update={"capture": settings.capture.model_copy(update={"features_land": ("demo",)})})
    for _ in range(2):
        go_round(allowed, "land-captures")
    asked = "select name, shape, numbers from features where name <> 'bad' order by numbers"
    table = duck.ask(Ask(f"{tmp_path}/lake", asked, 100, PATIENCE_SECONDS))
    assert table.rows == [["x", [1, 2], [1.0, float(number)]] for number in (1, 2, 3, 4)]
    labels = duck.ask(Ask(f"{tmp_path}/lake", "select numbers[1] from results order by 1", 100, PATIENCE_SECONDS))
    assert labels.rows == [[1.0], [2.0], [3.0], [4.0]]
    wholes = sorted(place.name for place in (tmp_path / "lake" / "features").glob("*/whole-*"))
    assert wholes == ["whole-6.parquet"]


def test_what_came_into_a_generic_model_does_not_land_unless_somebody_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    kept = [
        Capture(new_identity(), time.time(), endpoint, "m", "1", "champion", {name: np.ones(1)}, {"y": np.ones(1)})
        for endpoint, name in (("demo", "income"), ("faces", "scores"))
    ]
    write_captures(folder, kept, MASKED, seals(settings.capture, None)[MASKED], time.time(), 10**6)
    go_round(settings, "land-captures")
    features = duck.ask(Ask(f"{tmp_path}/lake", "select endpoint, name from features", 100, PATIENCE_SECONDS))
    results = duck.ask(Ask(f"{tmp_path}/lake", "select endpoint from results order by 1", 100, PATIENCE_SECONDS))
    assert (features.rows, results.rows) == ([["faces", "scores"]], [["demo"], ["faces"]])
