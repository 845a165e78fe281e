"""Which files of captures somebody has looked at: a mark beside them for each, gone when the file is."""

from collections.abc import Iterable
from pathlib import Path

from mlops.folders import entries
from mlops.predictions.capture_file import MASKED, files


def unlooked(folder: Path, who: str) -> list[Path]:
    """Return the files of features and masked output that somebody has not looked at yet, oldest first."""
    known = {mark.name for mark in entries(_marks(folder, who))}
    return [place for place in files(folder, MASKED) if place.name not in known]


def mark(folder: Path, who: str, places: Iterable[Path]) -> None:
    """Keep that somebody has looked at files, once all is done that follows from it.

    Raises:
        OSError: Marks cannot be made.
    """
    marks = _marks(folder, who)
    marks.mkdir(exist_ok=True)
    for place in places:
        (marks / place.name).touch()
    for left in {each.name for each in entries(marks)} - {place.name for place in files(folder, MASKED)}:
        (marks / left).unlink(missing_ok=True)


def _marks(folder: Path, who: str) -> Path:
    return folder / f".{who}"
