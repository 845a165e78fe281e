from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from mlops.database import Database
from mlops.jobs.collector import JobCollector
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES, Ending
from mlops.settings import DatabaseSettings

DONE = Ending("succeeded", report={}, result="result-1", media_type="video/mp4")


def test_jobs_are_counted_even_when_forgotten(store: JobStore, database: Database, clock: Any) -> None:
    registry = CollectorRegistry()
    registry.register(JobCollector(database))
    for seconds in (0.5, 4.0, 100_000.0):
        store.add(str(seconds), "mask-video", {})
        claim = store.claim(str(seconds))
        assert claim is not None
        clock.now += seconds
        store.finish(claim, DONE)
    for name in ("waits", "waits too", "runs", "cancelled"):
        store.add(name, "mask-video", {})
    store.claim("runs")
    store.cancel("cancelled")
    clock.now += 1000
    store.expire(history_seconds=500)
    kind = {"kind": "mask-video"}

    assert registry.get_sample_value("masker_jobs_up") == 1
    assert registry.get_sample_value("masker_jobs_waiting") == 2
    assert registry.get_sample_value("masker_jobs_running") == 1
    assert registry.get_sample_value("masker_jobs_total", kind | {"state": "succeeded"}) == 3
    assert registry.get_sample_value("masker_jobs_total", kind | {"state": "cancelled"}) == 1
    assert registry.get_sample_value("masker_job_seconds_sum", kind) == 100_004.5
    assert registry.get_sample_value("masker_job_seconds_count", kind) == 3
    for bound, count in (("1.0", 1), ("5.0", 2), ("14400.0", 2), ("+Inf", 3)):
        assert registry.get_sample_value("masker_job_seconds_bucket", kind | {"le": bound}) == count


def test_a_database_that_is_away_costs_no_scrape(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    url = SecretStr(f"sqlite:///{tmp_path}/var/platform.db")
    registry = CollectorRegistry()
    registry.register(JobCollector(Database(DatabaseSettings(url=url, password_file=None), TABLES)))
    assert registry.get_sample_value("masker_jobs_up") == 0
    assert registry.get_sample_value("masker_jobs_waiting") is None
