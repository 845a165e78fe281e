"""Hidden files that a killed run left where it wrote; the next run into the same folder removes them."""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

IDLE_SECONDS: Final = 3600.0
"""How long nobody must have written to a file that is taken for left behind, where the system tells who holds it."""
UNTOLD_SECONDS: Final = 86400.0
"""The same where it does not tell."""
_NAME: Final = re.compile(r"\.(masker-[a-z0-9_]{8}|.+\.[0-9a-f]{8})\.part", re.DOTALL)
_PROCESSES: Final = Path("/proc")

_File = tuple[int, int]


def sweep(folders: Iterable[Path], processes: Path = _PROCESSES) -> int:
    """Remove what killed runs of this user left, and give how many files that were.

    A file is ours by its name, its owner and its permissions (the owner's alone), and left behind if nobody wrote to it
    for long and no process of ours has it open. What cannot be looked at or removed stays.

    Args:
        folders: Where results go; those that are not there yet are passed over.
        processes: Where the system tells what each process has open.
    """
    old = [(path, time.time() - status.st_mtime, _identity(status)) for path, status in _ours(set(folders))]
    told = processes.is_dir()
    least = IDLE_SECONDS if told else UNTOLD_SECONDS
    old = [each for each in old if each[1] >= least]
    held = set(_held(processes)) if old else set()
    removed = 0
    for path, _, identity in old:
        if identity not in held:
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def _ours(folders: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in (entry for folder in folders for entry in _entries(folder) if _NAME.fullmatch(entry.name)):
        with contextlib.suppress(OSError):
            status = entry.lstat()
            private = stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
            if private and status.st_uid == os.getuid():
                yield entry, status


def _held(processes: Path) -> Iterator[_File]:
    """Yield every file that a process has open, as far as this user may know."""
    each = (process for process in _entries(processes) if process.name.isdecimal())
    for link in (link for process in each for link in _entries(process / "fd")):
        with contextlib.suppress(OSError):
            yield _identity(link.stat())


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _identity(status: os.stat_result) -> _File:
    return status.st_dev, status.st_ino
