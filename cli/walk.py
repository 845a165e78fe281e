"""Which files a folder holds that masking is for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli.marks import looks_like_media


@dataclass(slots=True)
class Walked:
    """What was found under a folder.

    Attributes:
        files: Files that name themselves media, or look like it, in order of their names.
        passed: How many others there are, hidden ones among them.
        loops: Links that lead back to a folder above them.
        closed: Folders and links that may not be read, or lead to themselves.
    """

    files: list[Path] = field(default_factory=list)
    passed: int = 0
    loops: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)


def walk(folder: Path, without: Path | None = None) -> Walked:
    """Walk a folder and all folders in it, through links too.

    Args:
        folder: Where to begin.
        without: A folder that is passed over, which is where the results go.
    """
    walked = Walked()
    _walk(folder, without.resolve() if without else None, (), walked)
    return walked


def _walk(folder: Path, without: Path | None, above: tuple[Path, ...], walked: Walked) -> None:
    real = folder.resolve()
    if real == without:
        return
    if real in above:
        walked.loops.append(folder)
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        walked.closed.append(folder)
        return
    for path, is_folder in _open(entries, walked):
        if is_folder:
            _walk(path, without, (*above, real), walked)
        elif looks_like_media(path):
            walked.files.append(path)
        else:
            walked.passed += 1


def _open(entries: list[os.DirEntry[str]], walked: Walked) -> Iterator[tuple[Path, bool]]:
    """Yield what is a plain file or a folder and not hidden; count the rest."""
    for entry in entries:
        if entry.name.startswith("."):
            walked.passed += 1
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            # A link whose end cannot be looked at, since it leads to itself or into a folder that is closed.
            walked.closed.append(Path(entry.path))
            continue
        if is_folder or is_file:
            yield Path(entry.path), is_folder
        else:
            walked.passed += 1
