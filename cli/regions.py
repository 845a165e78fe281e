"""Region lists of one file or of many, written by ``--boxes`` and taken back by ``--regions``.

A list of one file is as `masking.selection` writes it. A list of many is the same CSV with a first column ``file``, or
JSON ``{"files": {name: list}}``; a name is the path below the folder that was given.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cli.faults import UsageError
from cli.plan import STREAM
from masking.errors import PolicyError
from masking.selection import Listed, Selection
from masking.types import Faces

FILE: Final = "file"
SUFFIXES: Final = (".csv", ".json")
GROWTH: Final = 1.25
"""How much larger than the face the box of a row may get before another row begins."""


@dataclass(frozen=True, slots=True)
class Regions:
    """What was listed: by name of the file, or for the one file that there is."""

    by_name: Mapping[str, Selection] = field(default_factory=dict)
    one: Selection | None = None

    def of(self, name: str) -> Selection:
        """Give the list of a file; an empty one where there is none."""
        return self.one or self.by_name.get(name, Selection())

    def check(self, names: Iterable[str]) -> None:
        """Raise UsageError unless every list is for one of the files: a correction must not be lost."""
        known = set(names)
        if self.one is not None and len(known) != 1:
            raise UsageError(f"the region list does not say which of {len(known)} files it is for: add a column {FILE}")
        if strange := sorted(self.by_name.keys() - known):
            raise UsageError(f"the region list names {strange[0]!r}, which is not among the files")


def read_regions(path: Path) -> Regions:
    """Read a list; its suffix tells JSON from CSV.

    Raises:
        UsageError: It cannot be read, or is no such list.
    """
    check_suffix(path)
    try:
        text = path.read_text("utf-8-sig")
        return _from_json(text) if path.suffix.lower() == ".json" else _from_csv(text)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (PolicyError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: {error}") from error


def write_regions(found: Mapping[str, Selection], *, as_json: bool, several: bool) -> str:
    """Write what was found in each file, as `read_regions` reads it.

    Args:
        found: The faces by name of the file.
        as_json: JSON, not CSV.
        several: The list says which file each row is for.
    """
    if not several:
        selection = next(iter(found.values()), Selection())
        return selection.to_json() if as_json else selection.to_csv()
    if as_json:
        return (
            json.dumps({"files": {name: json.loads(each.to_json()) for name, each in found.items()}}, indent=1) + "\n"
        )
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    header = next(csv.reader(io.StringIO(Selection().to_csv())))
    writer.writerow([FILE, *header])
    for name, selection in found.items():
        rows = csv.reader(io.StringIO(selection.to_csv()))
        next(rows)
        writer.writerows([name, *row] for row in rows)
    return out.getvalue()


def check_suffix(path: Path) -> None:
    """Raise UsageError unless a region list may have this name."""
    if path != STREAM and path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: a region list is a .csv or a .json file")


def gather(frames: Iterable[tuple[int, Faces, tuple[int, ...]]]) -> Selection:
    """List the faces of a video: one row for as long as a face stays about where it is, with the box that holds it all.

    Args:
        frames: Number of each frame in order, its faces and their tracks.

    Raises:
        PolicyError: There are more rows than a list may have.
    """
    open_runs: dict[int, _Run] = {}
    rows: list[Listed] = []
    for number, faces, tracks in frames:
        for box, score, track in zip(faces.boxes, faces.scores, tracks, strict=True):
            run = open_runs.get(track)
            if run is not None and run.goes_on(number, box):
                run.take(number, box, float(score))
                continue
            if run is not None:
                rows.append(run.listed(track))
            open_runs[track] = _Run(number, number, box, float(score))
    rows += [run.listed(track) for track, run in open_runs.items()]
    return Selection(tuple(sorted(rows, key=lambda row: (row.first or 0, row.track or 0))))


@dataclass(slots=True)
class _Run:
    first: int
    last: int
    box: NDArray[np.float32]
    score: float

    def goes_on(self, number: int, box: NDArray[np.float32]) -> bool:
        return number == self.last + 1 and _area(_union(self.box, box)) <= GROWTH * min(_area(self.box), _area(box))

    def take(self, number: int, box: NDArray[np.float32], score: float) -> None:
        self.last, self.box, self.score = number, _union(self.box, box), max(self.score, score)

    def listed(self, track: int) -> Listed:
        x1, y1, x2, y2 = (round(float(side), 2) for side in self.box)
        score = round(min(max(self.score, 0.0), 1.0), 4)
        return Listed("mask", x1, y1, x2, y2, self.first, self.last, score, "detector", track % (1 << 31))


def _union(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate((np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])))


def _area(box: NDArray[np.float32]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _from_json(text: str) -> Regions:
    whole = json.loads(text)
    if not isinstance(whole, dict) or "files" not in whole:
        return Regions(one=Selection.from_json(text))
    if whole.keys() != {"files"} or not isinstance(whole["files"], dict):
        raise PolicyError("a list of many files in JSON is an object with files alone: a list by name")
    return Regions({name: _of_file(name, each) for name, each in whole["files"].items()})


def _of_file(name: str, listed: object) -> Selection:
    try:
        return Selection.from_json(json.dumps(listed))
    except PolicyError as error:
        raise PolicyError(f"{name}: {error}") from error


def _from_csv(text: str) -> Regions:
    rows = list(_lines(text))
    if not rows or FILE not in rows[0]:
        return Regions(one=Selection.from_csv(text))
    at = rows[0].index(FILE)
    parts: dict[str, list[list[str]]] = {}
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(rows[0]):
            raise PolicyError(f"row {number} has {len(row)} fields, but there are {len(rows[0])} columns")
        parts.setdefault(row[at], []).append(row[:at] + row[at + 1 :])
    header = rows[0][:at] + rows[0][at + 1 :]
    return Regions({name: Selection.from_csv(_text([header, *part])) for name, part in parts.items()})


def _lines(text: str) -> Iterator[list[str]]:
    return (line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line)


def _text(rows: Iterable[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
