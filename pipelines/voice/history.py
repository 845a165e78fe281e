"""The voice models that shipped, and what was measured of each: a table that only grows, in the folder of the model.

A row is one masker in one run of `python -m benchmarks.voice --figures FILE`: the styles with that model, and beside
them no mask and McAdams, by which the attackers of that run are known.
"""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

NAME: Final = "history.csv"


@dataclass(frozen=True, slots=True)
class Shipped:
    """What one masker reached.

    Attributes:
        version: number of the model among those that shipped, from 1.
        graph: first digits of the SHA-256 of its graph.
        changed: what makes it another than the one before, in a few words.
        masker: style of this version, or ``none`` or ``mcadams``.
        eer: equal error rate of the strongest attacker; with its 95 % interval.
        rank1: share of the parts that the best attacker names at once.
        words: share of single words that the own judge understands; those of others, nan without them.
        dnsmos: predicted opinion from 1 to 5; nan where it was not asked for.
        people: how many were sought.
    """

    version: int
    graph: str
    changed: str
    masker: str
    eer: float
    eer_low: float
    eer_high: float
    rank1: float
    words: float
    words_cnn: float
    words_pocketsphinx: float
    dnsmos: float
    people: int


def read(path: Path) -> list[Shipped]:
    """Read the table; nothing where there is no such file.

    Raises:
        ValueError: A column is missing or holds no number where one belongs.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [_row(row) for row in csv.DictReader(file)]


def append(path: Path, figures: Mapping[str, Mapping[str, Any]], graph: str, changed: str) -> int:
    """Write what was measured of a model behind all that is there, and give its number.

    Args:
        path: The table; made where it is missing.
        figures: What `benchmarks.voice --figures` wrote, by masker.
        graph: SHA-256 of the model's graph.
        changed: What makes it another than the one before.

    Raises:
        ValueError: A figure is missing or no number, or the table cannot be read.
    """
    there = read(path)
    version = 1 + max((row.version for row in there), default=0)
    head = {"version": version, "graph": graph[:12], "changed": changed}
    rows = [_row({**each, **head, "masker": masker}) for masker, each in figures.items()]
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Shipped)], lineterminator="\n")
        if not there:
            writer.writeheader()
        writer.writerows({name: "" if value != value else value for name, value in asdict(row).items()} for row in rows)
    return version


_OF_OTHERS: Final = ("words_cnn", "words_pocketsphinx", "dnsmos")
_WHOLE: Final = ("version", "people")
_TEXT: Final = ("graph", "changed", "masker")


def _row(row: Mapping[str, Any]) -> Shipped:
    try:
        return Shipped(**{field.name: _value(field.name, row.get(field.name)) for field in fields(Shipped)})
    except (TypeError, ValueError) as error:
        raise ValueError(f"row {dict(row)!r} of the shipped voice models: {error}") from error


def _value(name: str, value: Any) -> Any:  # noqa: ANN401
    if name in _OF_OTHERS and value in (None, ""):
        return float("nan")
    if value is None:
        raise ValueError(f"{name} is missing")
    return str(value) if name in _TEXT else int(value) if name in _WHOLE else float(value)
