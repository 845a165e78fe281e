"""Takes rows from whoever answers requests, and hands them on behind his back: first to disk, then to the database.

What answers appends to a queue in memory and never waits. One thread empties the queue into a segment on disk every
`flush_seconds`; another brings segments into the database as it answers. A process that is killed loses what was in
memory, `flush_seconds` of rows at most; a database that is away costs nothing until the spool is full.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from mlops.database import Database, DatabaseAway
from mlops.metrics import Metrics
from mlops.predictions.alike import alike, lines
from mlops.predictions.row import Prediction
from mlops.predictions.seldom import Seldom
from mlops.predictions.settings import PredictionSettings
from mlops.predictions.spool import Spool, SpoolFull, lying_bytes
from mlops.predictions.subject import pseudonym, subject_key
from mlops.predictions.table import TABLES
from mlops.predictions.tally import tally
from mlops.predictions.writer import Writer
from mlops.settings import DatabaseSettings

SUBJECTS: Final = 4096
"""Subjects whose hash is remembered."""
RETRY_SECONDS: Final = 1.0
ORPHAN_SECONDS: Final = 10.0
"""Seconds between two looks for what dead processes left."""
END_SECONDS: Final = 2.0
"""How long the end of the process waits for the database; what is not in by then is brought in later."""
LOSSES: Final = ("queue", "closed", "spool", "unencodable", "damaged", "refused")
log = logging.getLogger(__name__)


def database_of(settings: PredictionSettings) -> Database:
    """Return the database of predictions.

    Raises:
        InvalidSettings: The URL is none, or the password's file cannot be read.
    """
    where = DatabaseSettings(url=settings.url, password_file=settings.password_file)
    return Database(where, TABLES, "predictions")


class Recorder:
    """Records rows. `record` may be called from any thread, before `open` and after `close`, too.

    Args:
        settings: How much may wait where, and the database.
        metrics: What is written and lost is counted there.
        secret: What all processes of the platform share, if there is such a thing: subjects are hashed with it.
        replica: Name of the replica whose answers these are, which rolling releases go by; empty for none.

    Raises:
        InvalidSettings: The database's settings are wrong.
    """

    def __init__(
        self, settings: PredictionSettings, metrics: Metrics, secret: bytes | None = None, replica: str = ""
    ) -> None:
        self._settings = settings
        self._most = settings.queue_rows
        self._rows: deque[Prediction] = deque()
        self._database = database_of(settings)
        self._writer = Writer(self._database)
        self._spool = Spool(settings.spool_path, settings.spool_bytes, replica)
        self._closing = threading.Event()
        self._emptied = threading.Event()
        self._sealed = threading.Event()
        self._away = threading.Event()
        self._threads: list[threading.Thread] = []
        self._metrics = metrics
        self._taken = metrics.predictions_written
        self._waiting = metrics.predictions_spool_bytes
        self._lost = {reason: metrics.predictions_lost.labels(reason) for reason in LOSSES}
        self._secret = secret
        self._hashed: Callable[[str], str] = str
        self._losing = Seldom(log, "rows of predictions were lost")
        self._unsealed = Seldom(log, "a segment of predictions cannot be sealed", "times")

    def record(self, row: Prediction) -> None:
        """Take a row; nothing is waited for, and nothing raised. One that finds no room is counted as lost."""
        if len(self._rows) >= self._most or self._closing.is_set():
            self._lost["closed" if self._closing.is_set() else "queue"].inc()
            return
        self._rows.append(row)

    def open(self) -> None:
        """Begin to write.

        Raises:
            OSError: The spool's folder cannot be made, or the key of subjects not be kept there.
        """
        key = subject_key(self._secret, self._settings.spool_path)
        self._hashed = lru_cache(SUBJECTS)(lambda subject: pseudonym(subject, key))
        self._spool.open()
        for work, name in ((self._keep_spooling, "spool-predictions"), (self._keep_bringing, "bring-predictions")):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Write what waits, to disk for certain, and into the database if it answers soon."""
        self._closing.set()
        self._sealed.set()
        if self._threads:
            self._threads[0].join()
            self._threads[1].join(END_SECONDS)
        # A thread that still waits for the database may take its segment yet: each row is only taken once.
        self._spool.close()
        self._database.close()

    def _keep_spooling(self) -> None:
        while not self._closing.wait(self._settings.flush_seconds):
            self._empty_queue()
            self._losing.catch_up()
            self._unsealed.catch_up()
        self._empty_queue()
        self._losing.catch_up(at_once=True)
        self._unsealed.catch_up(at_once=True)
        self._emptied.set()
        self._sealed.set()

    def _empty_queue(self) -> None:
        while self._rows:
            batch = [self._rows.popleft() for _ in range(min(len(self._rows), self._settings.batch_rows))]
            self._tell(batch)
            data, count = self._encoded(batch)
            try:
                self._spool.append(data)
            except (SpoolFull, OSError) as error:
                self._lost["spool"].inc(count)
                self._losing.note(count, error)
        if not self._away.is_set() or self._spool.is_due or self._closing.is_set():
            self._seal()

    def _tell(self, batch: Sequence[Prediction]) -> None:
        try:
            tally(self._metrics, batch)
        except Exception:
            # Whatever is wrong with one row, all of them are kept.
            log.exception("rows of predictions were not counted")

    def _seal(self) -> None:
        try:
            self._spool.seal()
        except OSError as error:
            self._unsealed.note(1, error)
        self._sealed.set()

    def _encoded(self, batch: Sequence[Prediction]) -> tuple[bytes, int]:
        try:
            return self._lines(batch), len(batch)
        except Exception:
            # Whatever is wrong with one row, the others and the thread go on.
            log.exception("a row of a prediction cannot be encoded")
            each = [line for row in batch if (line := self._line(row))]
            return b"".join(each), len(each)

    def _line(self, row: Prediction) -> bytes:
        try:
            return self._lines([row])
        except Exception:  # noqa: BLE001  # told above
            self._lost["unencodable"].inc()
            return b""

    def _lines(self, rows: Sequence[Prediction]) -> bytes:
        """Return rows as they lie on disk, where nobody is named."""
        groups = alike(rows)
        for group in groups:
            group.subject = [subject and self._hashed(subject) for subject in group.subject]
        return lines(groups)

    def _keep_bringing(self) -> None:
        next_look = time.monotonic()
        while True:
            ending = self._emptied.is_set()
            self._tried(self._bring_sealed)
            if ending:
                return
            if time.monotonic() >= next_look:
                self._tried(self._look_around)
                next_look = time.monotonic() + ORPHAN_SECONDS
            if self._away.is_set():
                self._closing.wait(RETRY_SECONDS)
            self._sealed.wait(RETRY_SECONDS)
            self._sealed.clear()

    def _tried(self, bring: Callable[[], None]) -> None:
        try:
            bring()
        except (DatabaseAway, OSError) as error:
            if not self._away.is_set():
                log.warning("predictions wait for their database", extra={"reason": repr(error.__cause__ or error)})
            self._away.set()
        except Exception:
            # Nobody would notice that the thread is gone until the spool is full.
            log.exception("predictions were not brought into their database")
            self._away.set()
        else:
            self._away.clear()

    def _bring_sealed(self) -> None:
        for segment in self._spool.sealed():
            self._account(*self._writer.bring(segment))

    def _look_around(self) -> None:
        """Bring what dead processes left, and tell how much lies there, whether it could be brought or not."""
        try:
            self._account(*self._writer.bring_orphans(self._settings.spool_path))
        finally:
            self._waiting.set(lying_bytes(self._settings.spool_path))

    def _account(self, taken: int, lost: Mapping[str, int]) -> None:
        self._taken.inc(taken)
        for reason, count in lost.items():
            self._lost[reason].inc(count)
