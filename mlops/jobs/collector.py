"""Metrics of jobs, read from their table whenever they are scraped: they outlive workers and restarts.

Only one process of a platform shows them, since all would show the same.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mlops.database import Database, DatabaseAway
from mlops.jobs.table import BUCKETS, JOBS, OPEN, QUEUED, RUNNING, TOTALS, WITH_RESULT

BOUNDS: Final = [*(str(bound) for bound in BUCKETS[:-1]), "+Inf"]


class JobCollector(Collector):
    """Shows how many jobs wait, run and have ended, and how long they took."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Give the metrics; without the database nothing but that it is away."""
        try:
            with self._database.transaction() as connection:
                counted = sa.select(JOBS.c.state, sa.func.count()).where(JOBS.c.state.in_(OPEN)).group_by(JOBS.c.state)
                now = {state: int(jobs) for state, jobs in connection.execute(counted)}
                totals = connection.execute(sa.select(TOTALS)).all()
        except DatabaseAway:
            yield GaugeMetricFamily("masker_jobs_up", "1 if the table of jobs answers.", 0)
            return
        yield GaugeMetricFamily("masker_jobs_up", "1 if the table of jobs answers.", 1)
        yield GaugeMetricFamily("masker_jobs_waiting", "Jobs that wait for a worker.", now.get(QUEUED, 0))
        yield GaugeMetricFamily("masker_jobs_running", "Jobs that a worker does.", now.get(RUNNING, 0))
        yield _ended(totals)
        yield _seconds(totals)

    def describe(self) -> Iterator[Metric]:
        """Name nothing: the database is not asked before the first scrape."""
        return iter(())


def _ended(totals: Sequence[sa.Row[Any]]) -> Metric:
    family = CounterMetricFamily("masker_jobs", "Jobs that have ended.", labels=["kind", "state"])
    jobs: dict[tuple[str, str], int] = {}
    for row in totals:
        jobs[row.kind, row.state] = jobs.get((row.kind, row.state), 0) + row.jobs
    for labels, count in sorted(jobs.items()):
        family.add_metric(labels, count)
    return family


def _seconds(totals: Sequence[sa.Row[Any]]) -> Metric:
    family = HistogramMetricFamily("masker_job_seconds", "The attempt that gave a job its result.", labels=["kind"])
    kinds: dict[str, tuple[list[int], float]] = {}
    for row in totals:
        if row.state in WITH_RESULT:
            counts, seconds = kinds.setdefault(row.kind, ([0] * len(BUCKETS), 0.0))
            counts[row.bucket] += row.jobs
            kinds[row.kind] = (counts, seconds + row.seconds)
    for kind, (counts, seconds) in sorted(kinds.items()):
        family.add_metric([kind], list(zip(BOUNDS, accumulate(counts), strict=True)), seconds)
    return family
