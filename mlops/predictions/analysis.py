"""Questions to the lake, and files for it, each done by a short-lived process that runs DuckDB."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from mlops.predictions.question import Ask, Merge, Table, Write
from mlops.predictions.settings import SqlSettings

COMMAND: Final = (sys.executable, "-m", "mlops.predictions.duck")
START_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 600.0
QUERY_CHARACTERS: Final = 20_000


class NoAnswer(Exception):
    """The question cannot be answered, or the file not be written; the text says why."""


def ask(query: str, lake: Path, settings: SqlSettings) -> Table:
    """Return the answer to one SELECT over the tables of the lake.

    Args:
        query: In DuckDB's SQL.
        lake: Where the Parquet files are.
        settings: The limits.

    Raises:
        NoAnswer: It is no single SELECT, breaks a limit, or makes no sense.
    """
    request = Ask(str(lake.resolve()), query, settings.most_rows, settings.seconds)
    return _done(request, settings.seconds + START_SECONDS)


def write_parquet(table: str, lines: Path, place: Path) -> None:
    """Make a Parquet file of a table of the lake out of rows as JSON lines.

    Raises:
        NoAnswer: It cannot be made.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    _done(Write(table, str(lines), str(place.resolve())), WRITE_SECONDS)


def merge_parquet(table: str, places: Sequence[Path], folder: Path) -> Path:
    """Make one Parquet file of several, ``whole-<rows>.parquet`` in a folder, and return where it is.

    Raises:
        NoAnswer: It cannot be made.
    """
    request = Merge(table, [str(place.resolve()) for place in places], str(folder.resolve()))
    return folder / str(_done(request, WRITE_SECONDS).rows[0][0])


def _done(request: Ask | Merge | Write, seconds: float) -> Table:
    try:
        ended = subprocess.run(
            COMMAND, input=msgspec.json.encode(request), capture_output=True, timeout=seconds, check=True
        )
        answer = msgspec.json.decode(ended.stdout, type=Table)
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"it took longer than {seconds:g} s") from error
    except (OSError, subprocess.CalledProcessError, msgspec.MsgspecError) as error:
        raise NoAnswer("the process that was to do it has died, perhaps for want of memory") from error
    if answer.fault:
        raise NoAnswer(answer.fault)
    return answer
