"""The text of a region list, JSON or CSV, read strictly into plain rows and written back."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from masking.errors import PolicyError

Row = dict[str, Any]
"""The values of one region by the name of their column: text, numbers, or None where nothing is given."""

MOST_ROWS: Final = 10_000
MOST_CHARACTERS: Final = 4_000_000
COLUMNS: Final = ("action", "x1", "y1", "x2", "y2", "first", "last", "score", "source", "track")
REQUIRED: Final = COLUMNS[:5]
_WORDS: Final = frozenset({"action", "source"})
_VERSION: Final = 1
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


def parse_json(text: str) -> tuple[list[Row], bool]:
    """Read ``{"version": 1, "only": false, "regions": [{"action": "mask", "x1": ...}, ...]}``.

    Returns:
        The rows, and whether they are to be masked alone.

    Raises:
        PolicyError: It is not such a list.
    """
    _check_length(text)
    try:
        whole = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise PolicyError("the region list is not JSON: write it as the export does") from error
    if not isinstance(whole, dict) or not whole.keys() <= {"version", "only", "regions"}:
        raise PolicyError("a region list in JSON is an object with version, only and regions, and nothing else")
    rows, only, version = whole.get("regions"), whole.get("only", False), whole.get("version", _VERSION)
    if version != _VERSION or isinstance(version, bool):
        raise PolicyError(f"this region list is of another version: only {_VERSION} is read here")
    if not isinstance(only, bool):
        raise PolicyError("only must be true or false")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PolicyError("regions must be a list of objects, one for each region")
    for number, row in enumerate(rows, 1):
        _check_columns(row, f"row {number}")
    return rows, only


def parse_csv(text: str) -> list[Row]:
    """Read lines with commas, the names of the columns in the first; an empty field is one that is not given.

    Raises:
        PolicyError: It is not such a list.
    """
    _check_length(text)
    try:
        lines = [line for line in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True) if line]
    except csv.Error as error:
        raise PolicyError("the region list is not CSV: write it as the export does") from error
    if not lines:
        raise PolicyError("the region list is empty: its first line must name the columns")
    names = lines[0]
    if len(set(names)) < len(names):
        raise PolicyError("the first line names a column twice")
    _check_columns(names, "the first line")
    rows = []
    for number, line in enumerate(lines[1:], 1):
        if len(line) != len(names):
            raise PolicyError(f"row {number} has {len(line)} fields, but there are {len(names)} columns")
        rows.append({name: _value(name, field, number) for name, field in zip(names, line, strict=True)})
    return rows


def write_json(rows: Sequence[Mapping[str, Any]], *, only: bool) -> str:
    """Write what `parse_json` reads, one region a line."""
    regions = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f'{{"version": {_VERSION}, "only": {json.dumps(only)}, "regions": [\n{regions}\n]}}\n'


def write_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write what `parse_csv` reads."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _check_length(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise PolicyError(f"the region list is longer than {MOST_CHARACTERS} characters")


def _check_columns(names: Iterable[str], where: str) -> None:
    given = set(names)
    if missing := [name for name in REQUIRED if name not in given]:
        raise PolicyError(f"{where} lacks {', '.join(missing)}")
    if not given <= set(COLUMNS):
        raise PolicyError(f"{where} has a column that is not known; the columns are {', '.join(COLUMNS)}")


def _value(name: str, field: str, number: int) -> str | int | float | None:
    if not field or name in _WORDS:
        return field or None
    if not _NUMBER.fullmatch(field):
        raise PolicyError(f"row {number}: {name} must be a number with a point, such as 12.5")
    return float(field) if set(field) & set(".eE") else int(field)


def _refuse_constant(_: str) -> float:
    raise ValueError("NaN and Infinity are no JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)
