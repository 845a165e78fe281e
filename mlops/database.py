"""The platform's database, SQLite or PostgreSQL, spoken to through SQLAlchemy Core.

It is opened when it is first needed and may be away: every failure is a `DatabaseAway`, and the next call tries again.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mlops.layers import InvalidSettings
from mlops.settings import DatabaseSettings

CONNECT_SECONDS: Final = 3
BUSY_MILLISECONDS: Final = 5000
BUSY_PAUSE_SECONDS: Final = 0.01
READING: Final = "reading"
"""Execution option of connections that only read."""
TABLES_LOCK: Final = 7310558
"""Number of the advisory lock under which one of several processes makes the tables."""


class DatabaseAway(Exception):
    """The platform's database does not answer."""


class Database:
    """A pool of connections to one database, and the tables that must be there.

    Args:
        settings: Where it is.
        tables: Made at the first use where they are missing.
        section: Name of these settings, for whoever has to mend them.

    Raises:
        InvalidSettings: The URL is none, or the password's file cannot be read.
    """

    def __init__(self, settings: DatabaseSettings, tables: sa.MetaData, section: str = "database") -> None:
        self._tables = tables
        self._made = threading.Event()
        self._making = threading.Lock()
        self._engine = _engine(settings, section)
        self._reader = _reader(self._engine)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction that is committed at the end, or rolled back by an error.

        Raises:
            DatabaseAway: It does not answer.
        """
        with self._begun(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the database, takes no write lock, and waits for no writer.

        Raises:
            DatabaseAway: It does not answer, or something is written in it.
        """
        with self._begun(self._reader) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.dispose()

    @contextmanager
    def _begun(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        try:
            self._make_tables()
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseAway("the platform's database does not answer") from error

    def _make_tables(self) -> None:
        with self._making:
            if self._made.is_set():
                return
            if self._engine.dialect.name == "sqlite":
                Path(str(self._engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TABLES_LOCK)))
                self._tables.create_all(connection)
            self._made.set()


def _engine(settings: DatabaseSettings, section: str) -> sa.Engine:
    url = _url(settings, section)
    if url.get_backend_name() == "postgresql":
        # A connection that was cut while it lay in the pool is noticed before it is used.
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _reader(engine: sa.Engine) -> sa.Engine:
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    return engine.execution_options(**{READING: True})


def _url(settings: DatabaseSettings, section: str) -> sa.URL:
    try:
        url = sa.make_url(settings.url.get_secret_value())
        if settings.password_file is not None:
            url = url.set(password=settings.password_file.read_text("utf-8").strip())
    except sa.exc.ArgumentError:
        raise InvalidSettings(f"{section}.url: is no database URL") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{section}.password_file: cannot be read") from error
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise InvalidSettings(f"{section}.url: is neither sqlite:///… nor postgresql+psycopg2://…")
    return url


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver must not open transactions of its own: `_begin` does.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = NORMAL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    end = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Of two that change a new file to it at once SQLite refuses one there and then, whatever its busy timeout.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(BUSY_PAUSE_SECONDS)


def _begin(connection: sa.Connection) -> None:
    # Whoever reads and then writes takes the write lock first: two of them could not both upgrade their read locks.
    reading = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {int(reading)}")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
