"""DuckDB, in a process of its own: ``python -m mlops.predictions.duck`` reads one request and writes one answer.

Questions come from people and run over what others wrote. The process that runs one sees the lake and nothing else: no
other file, no network, no extension, no setting that could be changed back; and should it die, nothing else does.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from mlops.predictions.lake import TABLES, files, whole
from mlops.predictions.question import Ask, Merge, Table, Write

MEMORY: Final = "512MB"
LESS: Final = "ask for fewer rows or columns, for a shorter time, or for sums in place of lists"
DATA_BYTES: Final = 1 << 30
"""Memory of a process that answers a question: DuckDB counts its own alone, and not all of that."""
ANSWER_BYTES: Final = 32 << 20
"""Longest answer, since whoever asked holds it, too."""
NICENESS: Final = 10
FETCH_ROWS: Final = 1000
AGAIN_SECONDS: Final = 0.05
"""Between two tries to interrupt a question."""
TRIES: Final = 5
"""How often a question is asked whose files go meanwhile."""
_CONFIG: Final[Mapping[str, str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": MEMORY,
    "threads": "1",
    # Nothing is spilled to disk: what does not fit into memory is refused.
    "temp_directory": "",
    # Nobody who asks is told whose process this is; nothing is looked for there.
    "home_directory": "/",
}


class QueryError(Exception):
    """The question cannot be answered; the text says why."""


def write(request: Write) -> None:
    """Make a Parquet file.

    Raises:
        duckdb.Error: The lines are none of the table, or the disk does not take it.
    """
    types = {**TABLES[request.table], "time": "DOUBLE"}
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
    incoming = f"{request.place}.incoming"
    with duckdb.connect(":memory:", config=dict(_CONFIG)) as connection:
        connection.execute(
            "COPY (SELECT * REPLACE (make_timestamp(CAST(time * 1000000 AS BIGINT)) AS time)"
            f" FROM read_json({_text(request.lines)}, format = 'newline_delimited', columns = {{{columns}}}))"
            f" TO {_text(incoming)} (FORMAT parquet, COMPRESSION zstd)"
        )
    Path(incoming).chmod(0o600)
    Path(incoming).rename(request.place)


def merge(request: Merge) -> str:
    """Make one Parquet file of several; returns its name.

    Raises:
        duckdb.Error: One cannot be read, or the disk does not take it.
    """
    incoming = Path(request.folder) / "whole.incoming"
    columns, places = ", ".join(TABLES[request.table]), ", ".join(map(_text, request.places))
    with duckdb.connect(":memory:", config=dict(_CONFIG)) as connection:
        copied = connection.execute(
            f"COPY (SELECT {columns} FROM read_parquet([{places}], hive_partitioning = false) ORDER BY time)"
            f" TO {_text(str(incoming))} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    name = whole(Path(request.folder), copied[0] if copied else 0)
    incoming.chmod(0o600)
    incoming.rename(name)
    return name.name


def ask(request: Ask) -> Table:
    """Answer a question.

    Raises:
        QueryError: It is no single SELECT, takes too long or too much memory, or makes no sense.
    """
    lake = Path(request.lake).resolve()
    with duckdb.connect(":memory:", config=dict(_CONFIG)) as connection:
        _shut(connection, lake)
        try:
            statements = connection.extract_statements(request.query)
            kinds = [each.type for each in statements]
            if kinds == [duckdb.StatementType.MULTI]:
                raise QueryError("a PIVOT must name its values: PIVOT … ON version IN ('1', '2') USING count(*)")
            if kinds != [duckdb.StatementType.SELECT]:
                raise QueryError("it must be one SELECT")
            with _interrupted(connection, request.seconds):
                return _asked(connection, lake, statements[0], request.most_rows)
        except duckdb.InterruptException as error:
            raise QueryError(f"it took longer than {request.seconds:g} s") from error
        except duckdb.OutOfMemoryException as error:
            # DuckDB's advice is settings, which nobody may change here.
            raise QueryError(f"it took more memory than the {MEMORY} that a question gets: {LESS}") from error
        except duckdb.Error as error:
            raise QueryError(str(error).replace(f"{lake}/", "")) from error


def _shut(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET allowed_directories = [{_text(f'{lake}/')}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _asked(connection: duckdb.DuckDBPyConnection, lake: Path, query: duckdb.Statement, most_rows: int) -> Table:
    """Answer, and again where files have gone meanwhile: parts do once their hour is a whole, hours once they are old.

    Raises:
        duckdb.Error: As that of the last try.
    """
    tries_left = TRIES
    while True:
        tries_left -= 1
        found = {table: files(lake, table) for table in TABLES}
        try:
            _show(connection, found)
            return _answer(connection.execute(query), most_rows)
        except duckdb.InterruptException:
            raise
        except duckdb.Error:
            if not tries_left or all(place.exists() for places in found.values() for place in places):
                raise


def _show(connection: duckdb.DuckDBPyConnection, found: Mapping[str, Sequence[Path]]) -> None:
    for table, columns in TABLES.items():
        places = ", ".join(_text(str(place)) for place in found[table])
        nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns.items())
        source = (
            f"SELECT * FROM read_parquet([{places}], hive_partitioning = false)"
            if places
            else f"SELECT {nothing} WHERE false"
        )
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS {source}")


def _answer(connection: duckdb.DuckDBPyConnection, most_rows: int) -> Table:
    described = connection.description or []
    columns, types = [str(each[0]) for each in described], [str(each[1]) for each in described]
    zoned = [name for name, kind in zip(columns, types, strict=True) if "WITH TIME ZONE" in kind]
    if zoned:
        raise QueryError(f"{', '.join(zoned)}: give times as TIMESTAMP (UTC), such as now()::TIMESTAMP")
    rows: list[list[Any]] = []
    while len(rows) <= most_rows:
        fetched = connection.fetchmany(min(FETCH_ROWS, most_rows + 1 - len(rows)))
        if not fetched:
            break
        rows += [list(row) for row in fetched]
    return Table(columns, types, rows[:most_rows], len(rows) > most_rows)


@contextmanager
def _interrupted(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    answered = threading.Event()

    def interrupt() -> None:
        wait_seconds = seconds
        while not answered.wait(wait_seconds):
            # DuckDB forgets one that comes while no statement runs.
            connection.interrupt()
            wait_seconds = AGAIN_SECONDS

    timer = threading.Thread(target=interrupt, name="interrupt", daemon=True)
    timer.start()
    try:
        yield
    finally:
        answered.set()
        timer.join()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _done(request: Ask | Merge | Write) -> Table:
    if isinstance(request, Ask):
        return ask(request)
    if isinstance(request, Merge):
        return Table(columns=["name"], rows=[[merge(request)]])
    write(request)
    return Table()


def _encoded(request: Ask | Merge | Write) -> bytes:
    try:
        encoded = msgspec.json.encode(_done(request), enc_hook=str)
        if len(encoded) > ANSWER_BYTES:
            raise QueryError(f"the answer has more than {ANSWER_BYTES >> 20} MiB: ask for less of it")
    except MemoryError:
        encoded = msgspec.json.encode(Table(fault=f"it took too much memory: {LESS}"))
    except (QueryError, duckdb.Error, OSError) as error:
        encoded = msgspec.json.encode(Table(fault=str(error) or type(error).__name__))
    return encoded


def _bound() -> None:
    """Have the system refuse memory beyond `DATA_BYTES`; where it knows no such bound, DuckDB's own one is left."""
    import resource

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))


def main() -> int:
    """Read a request from standard input, do it, and write the answer to standard output."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Ask | Merge | Write)
    if isinstance(request, Ask):
        _bound()
    sys.stdout.buffer.write(_encoded(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
