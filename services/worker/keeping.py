"""Rounds that keep predictions and captures in order.

What dead processes left comes in, what is new lands, what is old goes, and serving learns where raw input is wanted.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from prometheus_client import Gauge

from mlops.audit import TABLES
from mlops.database import Database, DatabaseAway
from mlops.metrics import Metrics
from mlops.predictions.analysis import NoAnswer
from mlops.predictions.capture_file import MASKED, RAW, bytes_in, cut_off, files, is_over
from mlops.predictions.capture_landing import CaptureLanding
from mlops.predictions.captures import seals
from mlops.predictions.grants import GrantStore
from mlops.predictions.grants_file import write_leases
from mlops.predictions.landing import Landing
from mlops.predictions.recorder import database_of
from mlops.predictions.seldom import Seldom
from mlops.predictions.settings import CaptureSettings
from mlops.predictions.store import PredictionStore
from mlops.predictions.writer import Writer
from mlops.settings import Settings
from services.worker.rounds import Round

EXPIRE_SECONDS: Final = 60.0
SPOOL_SECONDS: Final = 30.0
CAPTURE_SECONDS: Final = 5.0
log = logging.getLogger(__name__)


def keeping_rounds(settings: Settings, metrics: Metrics) -> list[Round]:
    """Return the rounds. Each may be killed at any time, and may run in several workers."""
    predictions = settings.predictions
    database, platform = database_of(predictions), Database(settings.database, TABLES)
    writer, store = Writer(database), PredictionStore(database)
    landing = Landing(database, predictions.parquet_path, predictions.keep_seconds)
    grants = GrantStore(platform)

    numbers = CaptureLanding(
        settings.capture.path,
        predictions.parquet_path,
        lambda: seals(settings.capture, settings.cache.read_secret())[MASKED],
        settings.capture.features_land,
    )

    def bring() -> None:
        taken, lost = writer.bring_orphans(predictions.spool_path)
        account(metrics, taken, lost)

    def expire() -> None:
        while store.expire(predictions.keep_seconds):
            # Whoever writes gets his turn between two batches.
            time.sleep(0.01)

    landed = Gauge(
        "masker_predictions_landed_seconds",
        "Until when all predictions have landed as Parquet, since the epoch.",
        registry=metrics.registry,
    )
    lying = Gauge("masker_captures_bytes", "Bytes of captures on the disk.", registry=metrics.registry)
    room = Gauge(
        "masker_captures_room_bytes", "Bytes that captures may take yet before they stop.", registry=metrics.registry
    )

    def land() -> None:
        landing.land()
        landed.set(landing.landed_until())

    def keep_captures() -> None:
        # Files first: they go whether or not the database answers.
        remove_old(settings.capture, time.time())
        if settings.capture.path.is_dir():
            taken, left = space(settings.capture)
            lying.set(taken)
            room.set(left)
        write_leases(settings.capture.path, grants.ends(), time.time())

    return [
        Round("bring-predictions", SPOOL_SECONDS, patiently(bring), database.close),
        Round("expire-predictions", EXPIRE_SECONDS, patiently(expire), database.close),
        Round("land-predictions", predictions.parquet_seconds, patiently(land), database.close),
        Round("land-captures", predictions.parquet_seconds, patiently(numbers.land)),
        Round("keep-captures", CAPTURE_SECONDS, patiently(keep_captures), platform.close),
    ]


def account(metrics: Metrics, taken: int, lost: Mapping[str, int]) -> None:
    """Count rows that came into the database, and those that could not."""
    metrics.predictions_written.inc(taken)
    for reason, count in lost.items():
        metrics.predictions_lost.labels(reason).inc(count)


def patiently(run: Callable[[], None]) -> Callable[[], None]:
    """Return what does the same, but only tells when the database or the disk is away: the next round tries again."""
    waiting = Seldom(log, "predictions were not kept in order", "times")

    def tried() -> None:
        try:
            run()
        except (DatabaseAway, NoAnswer, OSError) as error:
            waiting.note(1, error)

    return tried


def space(settings: CaptureSettings) -> tuple[int, int]:
    """Return how many bytes captures take, and how many more they may take before capturing stops.

    Raises:
        OSError: The folder cannot be read.
    """
    taken = bytes_in(settings.path)
    free = shutil.disk_usage(settings.path).free
    return taken, max(0, min(settings.most_bytes - taken, free - settings.reserve_bytes))


def remove_old(settings: CaptureSettings, now: float) -> None:
    """Remove the captures whose time is over, and what is left of writing them."""
    folder = settings.path
    for place in (*files(folder, MASKED), *files(folder, RAW), *cut_off(folder)):
        if is_over(place, now):
            with suppress(OSError):
                place.unlink(missing_ok=True)
