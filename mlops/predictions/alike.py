"""Rows that are alike: what they have in common said once, and the rest by columns.

So they lie in a segment and go into the table. Most rows of a moment are alike: row by row, much of the work would be
saying the same again.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from mlops.predictions.row import Prediction

MOST_ROWS: Final = 250
"""Rows of one `Alike`: many, so that the interpreter's lock is let go once for all of them as they are inserted."""


class Kind(NamedTuple):
    """What rows have in common; as in `Prediction`."""

    endpoint: str
    model: str
    version: str
    variant: str
    release: str
    experiment: str
    outcome: str
    status: int
    cache: str
    shadow: bool


class Alike(msgspec.Struct, array_like=True, gc=False):
    """Rows of one kind: a column, as long as all others, for each of the fields of `Prediction` in which they differ.

    Raises:
        ValueError: The columns are not all of one length.
    """

    kind: Kind
    time: list[float]
    identity: list[str]
    subject: list[str]
    seconds: list[float]
    stages: list[dict[str, float]]
    counts: list[dict[str, float]]

    def __post_init__(self) -> None:
        """Check the lengths."""
        if len({len(getattr(self, name)) for name in OWN}) != 1:
            raise ValueError("columns of several lengths")

    def rows(self) -> Iterator[Prediction]:
        """Give the rows."""
        common = self.kind._asdict()
        for own in zip(*[getattr(self, name) for name in OWN], strict=True):
            yield Prediction(**common, **dict(zip(OWN, own, strict=True)))


OWN: Final = Alike.__struct_fields__[1:]
"""Fields in which rows of one kind differ."""
_kind_of: Final[Callable[[Prediction], tuple[Any, ...]]] = attrgetter(*Kind._fields)
_encode: Final = msgspec.json.Encoder().encode_lines
_decode: Final = msgspec.json.Decoder(Alike).decode


def alike(rows: Sequence[Prediction]) -> list[Alike]:
    """Return rows by what they have in common, `MOST_ROWS` at a time at most."""
    kinds: dict[tuple[Any, ...], list[Prediction]] = {}
    for row in rows:
        kinds.setdefault(_kind_of(row), []).append(row)
    return [
        _columns(Kind(*kind), those[begin : begin + MOST_ROWS])
        for kind, those in kinds.items()
        for begin in range(0, len(those), MOST_ROWS)
    ]


def _columns(kind: Kind, rows: Sequence[Prediction]) -> Alike:
    return Alike(
        kind,
        [row.time for row in rows],
        [row.identity for row in rows],
        [row.subject for row in rows],
        [row.seconds for row in rows],
        [row.stages for row in rows],  # type: ignore[misc]  # they are only read
        [row.counts for row in rows],  # type: ignore[misc]
    )


def lines(these: Sequence[Alike]) -> bytes:
    """Return a line for each, as JSON.

    Raises:
        Exception: A row cannot be encoded.
    """
    return _encode(these)


def read_line(line: bytes) -> tuple[list[Alike], int]:
    """Return what a line holds, and how many damaged rows; what is no line at all, as a kill leaves it, counts as one.

    The type of every value is checked, which SQLite does not do.
    """
    try:
        return [_decode(line)], 0
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _whole_rows(line)


def _whole_rows(line: bytes) -> tuple[list[Alike], int]:
    """Return the rows of a line that are what they should be, each by itself, and how many others there are."""
    try:
        kind, *columns = msgspec.json.decode(line)
        rows = list(zip(*columns, strict=True))
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, ValueError):
        return [], 1
    whole = []
    for row in rows:
        try:
            whole.append(msgspec.convert([kind, *([value] for value in row)], Alike))
        except msgspec.ValidationError:
            continue
    return whole, len(rows) - len(whole)
