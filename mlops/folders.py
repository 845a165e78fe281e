"""Folders that other threads and processes look into, fill, empty and remove meanwhile."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path


def entries(folder: Path, pattern: str = "*") -> list[Path]:
    """Return what lies in one folder, by name; nothing where it is no folder, is closed to us, or goes meanwhile.

    `Path.glob` raises where a folder goes between being found and being looked into. What is listed here may still be
    gone when it is opened.

    Args:
        folder: Where to look.
        pattern: Of the names, as a shell has them; hidden ones are no exception.

    Raises:
        OSError: The disk or the system does not answer; so nobody takes that for an empty folder.
    """
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [place for place in found if fnmatchcase(place.name, pattern)]


def write_whole(place: Path, text: str) -> None:
    """Write a file that anybody may read, all of it or nothing, whoever else writes it at the same time.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    incoming = place.with_suffix(".incoming")
    with held(place.parent):
        incoming.write_text(text, encoding="utf-8")
        incoming.chmod(0o644)
        incoming.replace(place)


def stamp(place: Path) -> str | None:
    """Give a text that changes whenever a small file does, for polling; None where there is no such file.

    Its content is a part of that: times of files are coarse, and the number of one that was just replaced is given to
    the next, so two that follow one another fast may have both in common.

    Raises:
        OSError: The disk or the system does not answer.
    """
    content = b""
    try:
        status = place.stat()
        with suppress(PermissionError, IsADirectoryError):
            content = place.read_bytes()
    except FileNotFoundError:
        return None
    return f"{status.st_mtime_ns}-{status.st_ino}-{hashlib.sha256(content).hexdigest()}"


@contextmanager
def held(place: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file or folder.

    Args:
        place: What must be there already.
        wait: Whether to wait for whoever holds it.

    Raises:
        BlockingIOError: Somebody holds it, and is not to be waited for.
        OSError: It cannot be opened.
    """
    # Not where all is read: whoever only looks may run where there are no such locks.
    import fcntl

    lock = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
