"""The platform's database, SQLite or PostgreSQL, spoken to through SQLAlchemy Core.

It is opened when it is first needed and may be away: every failure is a `DatabaseAway`, and the next call tries again.
"""

import sqlite3
import threading
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
TABLES_LOCK: Final = 7310558
"""Number of the advisory lock under which one of several processes makes the tables."""


class DatabaseAway(Exception):
    """The platform's database does not answer."""


class Database:
    """A pool of connections to one database, and the tables that must be there.

    Args:
        settings: Where it is.
        tables: Made at the first use where they are missing.

    Raises:
        InvalidSettings: The URL is none, or the password's file cannot be read.
    """

    def __init__(self, settings: DatabaseSettings, tables: sa.MetaData) -> None:
        self._tables = tables
        self._made = threading.Event()
        self._making = threading.Lock()
        self._engine = _engine(settings)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction that is committed at the end, or rolled back by an error.

        Raises:
            DatabaseAway: It does not answer.
        """
        try:
            self._make_tables()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseAway("the platform's database does not answer") from error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.dispose()

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


def _engine(settings: DatabaseSettings) -> sa.Engine:
    url = _url(settings)
    if url.get_backend_name() == "postgresql":
        # A connection that was cut while it lay in the pool is noticed before it is used.
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediately)
    return engine


def _url(settings: DatabaseSettings) -> sa.URL:
    try:
        url = sa.make_url(settings.url.get_secret_value())
        if settings.password_file is not None:
            url = url.set(password=settings.password_file.read_text("utf-8").strip())
    except sa.exc.ArgumentError:
        raise InvalidSettings("database.url: is no database URL") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings("database.password_file: cannot be read") from error
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise InvalidSettings("database.url: is neither sqlite:///… nor postgresql+psycopg2://…")
    return url


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The driver must not open transactions of its own: `_begin_immediately` does.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_immediately(connection: sa.Connection) -> None:
    # Whoever reads and then writes takes the write lock first: two of them could not both upgrade their read locks.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
