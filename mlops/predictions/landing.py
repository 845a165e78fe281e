"""Has predictions land in the lake: what is new every minute, each hour as one file once it is over.

Rows may come late, hours after their time, where a database was away. So an hour that has landed is counted again now
and then, and lands anew where the database has more rows of it than the file.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from mlops.database import Database
from mlops.folders import entries
from mlops.predictions import lake
from mlops.predictions.analysis import write_parquet
from mlops.predictions.store import row_of
from mlops.predictions.table import PREDICTIONS

LAG_SECONDS: Final = 5.0
"""What is younger has not all reached the database yet."""
SETTLED_SECONDS: Final = 600.0
"""How long after its end an hour lands as a whole."""
LATE_HOURS: Final = 48
"""Hours back that late rows are looked for in."""
FETCH_ROWS: Final = 5000
TABLE: Final = "predictions"
_time: Final = PREDICTIONS.c.time
log = logging.getLogger(__name__)


class Landing:
    """Predictions on their way into the lake.

    Args:
        database: The predictions' database.
        root: The lake.
        keep_seconds: How long rows are kept, there as here.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, database: Database, root: Path, keep_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._root = root
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._looks = 0
        self._lines = root / "lines"

    def land(self) -> None:
        """Bring what is new, make whole what is over, and remove what is old; nothing while another process does.

        Raises:
            DatabaseAway: The database does not answer.
            NoAnswer: A file cannot be written.
            OSError: The disk does not take it.
        """
        now = self._clock()
        with lake.alone(self._root, TABLE) as folder:
            if folder is not None:
                self._lines = folder / "lines"
                lake.expire(self._root, now - self._keep_seconds)
                self._bring_new(now)
                self._make_whole(now)
                self._look_for_late(now)

    def landed_until(self) -> float:
        """Return until when every prediction has landed, in seconds since the epoch: now, where none waits.

        Raises:
            DatabaseAway: The database does not answer.
        """
        now = self._clock()
        waiting = self._first_from(lake.landed_until(self._root, TABLE) or now - self._keep_seconds)
        return now if waiting is None else min(waiting, now)

    def _bring_new(self, now: float) -> None:
        until = int((now - LAG_SECONDS) * 1000) / 1000
        since = self._first_from(lake.landed_until(self._root, TABLE) or now - self._keep_seconds)
        while since is not None and since < until:
            hour = lake.hour_of(since)
            end = min(until, hour + lake.HOUR_SECONDS)
            folder = lake.folder_of(self._root, TABLE, hour)
            if lake.rows_of(folder) is None:
                self._write(since, end, lake.part(folder, since, end))
            since = self._first_from(end)

    def _first_from(self, since: float) -> float | None:
        """Return the millisecond of the first row from a time on."""
        with self._database.reading() as connection:
            first = connection.execute(
                sa.select(_time).where(_time >= since).order_by(_time).limit(1)
            ).scalar_one_or_none()
        return None if first is None else max(since, int(first * 1000) / 1000)

    def _make_whole(self, now: float) -> None:
        for folder in entries(self._root / TABLE, "hour=*"):
            hour = lake.begin_of(folder)
            if lake.rows_of(folder) is None and hour + lake.HOUR_SECONDS + SETTLED_SECONDS <= now:
                self._land_hour(int(hour))

    def _look_for_late(self, now: float) -> None:
        """Count one hour again, another one at each look."""
        newest = lake.hour_of(now - SETTLED_SECONDS) - lake.HOUR_SECONDS
        kept = int((newest - now + self._keep_seconds) // lake.HOUR_SECONDS) + 1
        hours = min(LATE_HOURS, kept)
        if hours < 1:
            return
        hour = newest - (self._looks % hours) * lake.HOUR_SECONDS
        self._looks += 1
        if self._count(hour) > (lake.rows_of(lake.folder_of(self._root, TABLE, hour)) or 0):
            self._land_hour(hour)

    def _land_hour(self, hour: int) -> None:
        folder = lake.folder_of(self._root, TABLE, hour)
        place = lake.whole(folder, self._count(hour))
        self._write(hour, hour + lake.HOUR_SECONDS, place)
        lake.drop_superseded(folder, place)

    def _count(self, hour: int) -> int:
        within = sa.select(sa.func.count()).where(_time >= hour, _time < hour + lake.HOUR_SECONDS)
        with self._database.reading() as connection:
            return int(connection.execute(within).scalar_one())

    def _write(self, since: float, until: float, place: Path) -> None:
        encoder = msgspec.json.Encoder()
        with self._lines.open("wb") as file, self._database.reading() as connection:
            asked = sa.select(PREDICTIONS).where(_time >= since, _time < until).order_by(_time)
            streamed = connection.execution_options(yield_per=FETCH_ROWS).execute(asked)
            for some in streamed.partitions():
                file.write(encoder.encode_lines([row_of(row) for row in some]))
        write_parquet(TABLE, self._lines, place)
