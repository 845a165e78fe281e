"""The queue of jobs: huey, on a SQLite file or on Redis. It carries names of jobs, and nothing depends on it alone.

The table (`mlops.jobs.store`) is the truth. A name that is lost here is put in again from there, and one that comes
twice is claimed once.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from huey import Huey, RedisHuey, SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from redis.exceptions import RedisError

from mlops import database
from mlops.jobs.settings import JobSettings
from mlops.layers import InvalidSettings

FILE: Final = "queue.db"
LONGEST_POLL_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0
"""Between two tries at a Redis that is away; while it is there a read waits for it, and nobody polls."""
TIMEOUT_SECONDS: Final = 3
FIELDS: Final = len(Message._fields)


class QueueAway(Exception):
    """The queue does not answer."""


class JsonSerializer:
    """Messages as JSON: whoever writes into the queue can name a job, and cannot run code as pickle would let him."""

    def serialize(self, data: object) -> bytes:
        """Return a message as bytes."""
        return json.dumps(data).encode()

    def deserialize(self, data: bytes) -> object:
        """Return the message that bytes hold.

        Raises:
            ValueError: They hold none.
        """
        try:
            read = json.loads(data)
        except ValueError:
            read = None
        if not isinstance(read, list) or len(read) != FIELDS:
            raise ValueError("this is no message of the queue")
        return Message(*read)


class JobQueue:
    """Names of jobs that wait, first in, first out.

    Args:
        settings: Where the queue is.
        run: What a consumer does with a name; producers need none.

    Raises:
        InvalidSettings: The URL is none of Redis'.
    """

    def __init__(self, settings: JobSettings, run: Callable[[str], None] | None = None) -> None:
        self._spool_path = settings.spool_path
        self._run = run
        self._opening = threading.Lock()
        self._opened: tuple[Huey, Callable[[str], object]] | None = None
        if settings.queue_url is not None:
            self._opened = self._with_task(_on_redis(settings.queue_url.get_secret_value()))

    def put(self, identity: str) -> None:
        """Put a name in.

        Raises:
            QueueAway: The queue does not answer.
        """
        with _answering():
            self._open()[1](identity)

    def waiting(self) -> int:
        """Return how many names are in the queue.

        Raises:
            QueueAway: The queue does not answer.
        """
        with _answering():
            return int(self._open()[0].storage.queue_size())

    def consumer(self, workers: int) -> Consumer:
        """Return a consumer of so many threads; its caller starts and stops it.

        Raises:
            QueueAway: The queue's file cannot be opened.
        """
        # It tells of every message and every poll below that.
        logging.getLogger("huey").setLevel(logging.WARNING)
        with _answering():
            huey = self._open()[0]
            longest_seconds = LONGEST_PAUSE_SECONDS if huey.storage.blocking else LONGEST_POLL_SECONDS
            consumer = Consumer(huey, workers=workers, periodic=False, max_delay=longest_seconds)
        # Signals belong to the process, which may run more than this consumer.
        consumer._set_signal_handlers = lambda: None
        return consumer

    def close(self) -> None:
        """Close what this thread has open."""
        if self._opened is not None:
            self._opened[0].storage.close()

    def _open(self) -> tuple[Huey, Callable[[str], object]]:
        with self._opening:
            if self._opened is None:
                self._spool_path.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = str(self._spool_path / FILE)
                # Without strict order an emptied file starts counting again, and who comes later may go first.
                huey = SqliteHuey(
                    "jobs",
                    filename=file,
                    results=False,
                    serializer=JsonSerializer(),
                    strict_fifo=True,
                    timeout=database.BUSY_MILLISECONDS / 1000,
                )
                self._opened = self._with_task(huey)
            return self._opened

    def _with_task(self, huey: Huey) -> tuple[Huey, Callable[[str], object]]:
        def job(identity: str) -> None:
            if self._run is not None:
                self._run(identity)

        return huey, huey.task(name="job")(job)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (RedisError, sqlite3.Error, OSError) as error:
        raise QueueAway("the queue of jobs does not answer") from error


def _on_redis(url: str) -> Huey:
    # The consumer's blocking read asks for one second; the socket must wait longer than that.
    separator = "&" if "?" in url else "?"
    address = f"{url}{separator}socket_timeout={TIMEOUT_SECONDS}&socket_connect_timeout={TIMEOUT_SECONDS}"
    try:
        return RedisHuey("jobs", url=address, results=False, serializer=JsonSerializer())
    except ValueError:
        raise InvalidSettings("jobs.queue_url: is no URL of Redis") from None
