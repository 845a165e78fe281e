"""The audit log: who did what, when, in a table that only grows, each entry chained to the one before by SHA-256.

Whoever changes an entry, removes one or puts one between breaks the chain from there on. Whoever cuts off its end is
found out by an entry's digest that somebody noted elsewhere. Chains of hashes: Haber and Stornetta, "How to time-stamp
a digital document" (1991).
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from pydantic import TypeAdapter

from mlops.database import Database

TABLES: Final = sa.MetaData()
"""Tables of the platform database that are written together with the log; their modules add themselves."""
AUDIT: Final = sa.Table(
    "audit_log",
    TABLES,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time", sa.Double, nullable=False, index=True),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False, index=True),
    # Text, not JSON: the digest is of these very characters.
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
FIRST: Final = "0" * 64
"""What stands for the digest of the entry before the first."""
LOCK: Final = 7310559
"""Number of the advisory lock under which PostgreSQL appends one entry at a time."""
END_OF_TIME: Final = 253402300800.0
"""The first second of the year 10000, which nothing tells any more."""
_REFUSAL: Final = "the audit log only grows"
_JSON: Final = TypeAdapter[Any](Any)


def _ddl(statement: str, dialect: str) -> sa.schema.ExecutableDDLElement:
    return sa.DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]


def _only_grows() -> None:
    """Have the database itself refuse changes of entries and their removal."""
    for action in ("UPDATE", "DELETE"):
        name = f"audit_log_no_{action.lower()}"
        sqlite = f"CREATE TRIGGER {name} BEFORE {action} ON audit_log BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        sa.event.listen(AUDIT, "after_create", _ddl(sqlite, "sqlite"))
        function = (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        )
        trigger = f"CREATE TRIGGER {name} BEFORE {action} ON audit_log FOR EACH ROW EXECUTE FUNCTION {name}()"
        for statement in (function, trigger):
            sa.event.listen(AUDIT, "after_create", _ddl(statement, "postgresql"))


_only_grows()


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did.

    Attributes:
        sequence: 1 for the first entry, without gaps.
        time: Seconds since the epoch; None where somebody has put there what is no time.
        actor: Who did it.
        action: What was done, such as ``release.promote``.
        subject: What it was done to, such as a release's identity.
        details: More of it, as plain JSON values.
        digest: SHA-256 of the entry and the digest before, hex.
        damaged: Whether somebody has put into it what is never written here; it is told as well as it can be.
    """

    sequence: int
    time: float | None
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]
    digest: str
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The log. Every method raises `mlops.database.DatabaseAway` where the database does not answer.

    Attributes:
        database: Where it is; made with `TABLES`, or with tables of which they are a part.
        clock: Seconds since the epoch.
    """

    database: Database
    clock: Callable[[], float] = time.time

    def append(
        self,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, Any] | None = None,
        connection: sa.Connection | None = None,
    ) -> Entry:
        """Write an entry.

        Args:
            actor: Who did it.
            action: What was done.
            subject: What it was done to.
            details: More of it, as plain JSON values.
            connection: An open transaction that it becomes part of: what was done and its entry are there together, or
                neither is.
        """
        with _within(self.database, connection) as open_connection:
            if open_connection.dialect.name == "postgresql":
                open_connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            newest = sa.select(AUDIT.c.sequence, AUDIT.c.digest).order_by(AUDIT.c.sequence.desc()).limit(1)
            sequence, before = open_connection.execute(newest).one_or_none() or (0, FIRST)
            text = json.dumps(dict(details or {}), sort_keys=True, separators=(",", ":"))
            row = (sequence + 1, self.clock(), actor, action, subject, text)
            written = (*row, _digest(before, *row))
            open_connection.execute(sa.insert(AUDIT).values(written))
            return _entry(*written)

    def entries(
        self, subject: str | None = None, actor: str | None = None, before: int | None = None, most: int = 100
    ) -> list[Entry]:
        """Return so many of the newest entries, newest first.

        Args:
            subject: Only those about it.
            actor: Only those by him.
            before: Only those of a lower sequence, for the next page.
            most: As many.
        """
        asked = sa.select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(most)
        for column, value in ((AUDIT.c.subject, subject), (AUDIT.c.actor, actor)):
            asked = asked if value is None else asked.where(column == value)
        asked = asked if before is None else asked.where(AUDIT.c.sequence < before)
        with self._reading() as connection:
            return [_entry(*row) for row in connection.execute(asked)]

    def verify(self, noted: str = FIRST) -> int | None:
        """Return the sequence of the first entry that breaks the chain; None where nothing does.

        Args:
            noted: Digest of an entry that was there before; where the chain has it no more, the sequence after the
                newest entry is what is broken.
        """
        expected, digest, found = 1, FIRST, noted == FIRST
        with self._reading() as connection:
            rows = connection.execution_options(yield_per=1000).execute(sa.select(AUDIT).order_by(AUDIT.c.sequence))
            for row in rows:
                if row.sequence != expected or not _follows(digest, row):
                    return expected
                expected, digest = expected + 1, row.digest
                found = found or digest == noted
        return None if found else expected

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Open the log for reading, also what SQLite holds as text and is none: who looks for damage must see it."""
        with self.database.reading() as connection:
            driver: Any = connection.connection.dbapi_connection
            if not isinstance(driver, sqlite3.Connection):
                yield connection
                return
            driver.text_factory = _lenient
            try:
                yield connection
            finally:
                driver.text_factory = str


def _within(database: Database, connection: sa.Connection | None) -> AbstractContextManager[sa.Connection]:
    return database.transaction() if connection is None else nullcontext(connection)


def _digest(before: str, *values: object) -> str:
    return hashlib.sha256(json.dumps([before, *values]).encode()).hexdigest()


def _follows(before: str, row: sa.Row[Any]) -> bool:
    try:
        return bool(row.digest == _digest(before, *row[:-1]))
    except TypeError:
        # Bytes, say, which SQLite puts into any column: nobody here has written that.
        return False


def _lenient(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _entry(sequence: int, when: float, actor: str, action: str, subject: str, details: str, digest: str) -> Entry:
    """Give an entry of a row, whose values may be anything: SQLite puts whatever it is given into any column."""
    texts = (actor, action, subject, digest)
    told = [_told(text) for text in texts]
    number = sequence if isinstance(sequence, int) else 0
    moment = when if isinstance(when, int | float) and 0 <= when < END_OF_TIME else None
    read = _details(details)
    damaged = (number, moment, *told) != (sequence, when, *texts) or read is None
    more = {"unreadable": _told(details)} if read is None else read
    return Entry(number, moment, told[0], told[1], told[2], more, told[3], damaged)


def _told(value: object) -> str:
    """Give a value of a text's column as a text that can be sent."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value).encode("utf-8", "backslashreplace").decode()


def _details(text: str) -> Mapping[str, Any] | None:
    """Read details; None for those that somebody has made unreadable, or such that nobody could be told them."""
    try:
        read = dict(json.loads(text))
        _JSON.dump_json(read)
    except (ValueError, TypeError, RecursionError):
        return None
    return read
