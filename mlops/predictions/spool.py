"""Rows on disk, between a process that answers requests and the database.

    <root>/<process>/lock            held by the process as long as it lives; has the name of its replica
    <root>/<process>/<number>.rows   a segment: a line is rows that are alike, as JSON

A segment is whole once it is sealed. A process that was killed leaves its folder, and its lock falls open: whoever gets
the lock brings its segments in. No segment is ever in two hands. Folders are made, and taken for a dead process's, by
whoever holds the root: nobody sees one that is made but not locked yet.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mlops.folders import entries, held
from mlops.predictions.alike import Alike, read_line

SEGMENT_BYTES: Final = 1 << 20
"""A segment that nobody takes grows to this."""
LOCK: Final = "lock"
ENDING: Final = ".rows"


class SpoolFull(Exception):
    """The spool holds as many bytes as it may."""


class Spool:
    """The segments of this process.

    One thread appends and seals; another takes. What `append` has returned from outlives the process, though not a
    power cut: nothing is synced.

    Args:
        root: Folder of all spools.
        most_bytes: Bytes of all segments below the root that are not passed.
        replica: Name that `living` gives of this process; empty for none.
    """

    def __init__(self, root: Path, most_bytes: int, replica: str = "") -> None:
        self._root = root
        self._most_bytes = most_bytes
        self._replica = replica
        self._folder = root / f"{os.getpid()}-{secrets.token_hex(8)}"
        self._lock: int | None = None
        self._segment: int | None = None
        self._number = 0
        self._segment_bytes = 0
        self._lying_bytes = 0

    def open(self) -> None:
        """Make the folder, and lock it.

        Raises:
            OSError: It cannot be made.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(self._root):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self._folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                os.write(lock, self._replica.encode())
            except BaseException:
                os.close(lock)
                raise
        self._lock = lock

    def append(self, lines: bytes) -> None:
        """Write rows to the segment that is open, or begin one.

        Raises:
            SpoolFull: There is no room.
            OSError: The disk does not take it.
        """
        if self._segment is None:
            self._lying_bytes = lying_bytes(self._root)
        if self._lying_bytes + self._segment_bytes + len(lines) > self._most_bytes:
            raise SpoolFull
        if self._segment is None:
            place = self._folder / f"{self._number:012d}{ENDING}.open"
            self._segment = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._segment, lines[written:])
        except OSError:
            # A line that is cut off would spoil the next.
            os.ftruncate(self._segment, self._segment_bytes)
            raise
        self._segment_bytes += written

    @property
    def is_due(self) -> bool:
        """Whether the open segment is as large as segments get."""
        return self._segment_bytes >= SEGMENT_BYTES

    def seal(self) -> None:
        """Close the open segment, if there is one, so that it can be taken.

        Raises:
            OSError: The disk does not take it: the segment is brought in once this process has ended.
        """
        if self._segment is None:
            return
        segment, name = self._segment, f"{self._number:012d}{ENDING}"
        # Its number may be another file's as soon as it is closed: nothing is to be written there, whatever happens.
        self._segment, self._segment_bytes = None, 0
        self._number += 1
        os.close(segment)
        (self._folder / f"{name}.open").rename(self._folder / name)

    def sealed(self) -> list[Path]:
        """Return the sealed segments of this process, oldest first."""
        return entries(self._folder, f"*{ENDING}")

    def close(self) -> None:
        """Give the folder up; one without segments is removed."""
        self.seal()
        if self._lock is not None:
            if not self.sealed():
                _remove(self._folder)
            os.close(self._lock)
            self._lock = None


def read_segment(place: Path) -> tuple[list[Alike], int]:
    """Return the rows of a segment, and how many are damaged, as `mlops.predictions.alike.read_line` counts them.

    Raises:
        OSError: It cannot be read.
    """
    whole, damaged = [], 0
    for line in place.read_bytes().splitlines():
        rows, others = read_line(line)
        whole += rows
        damaged += others
    return whole, damaged


def orphans(root: Path) -> Iterator[Sequence[Path]]:
    """Give the segments of each process that has died, oldest first, while they are locked.

    A folder whose segments are all gone when the next is asked for is removed, and one that was never finished.
    """
    for folder in entries(root):
        with _claimed(root, folder) as mine:
            if mine:
                # Held by us now: that is no sign of life of the one that it names.
                with suppress(OSError):
                    os.truncate(folder / LOCK, 0)
                yield sorted([*entries(folder, f"*{ENDING}"), *entries(folder, f"*{ENDING}.open")])
                if not entries(folder, f"*{ENDING}*"):
                    _remove(folder)


def living(root: Path) -> frozenset[str]:
    """Return the names of the replicas whose processes live.

    Raises:
        OSError: The disk does not answer.
    """
    return frozenset(name for folder in entries(root) if (name := _living(folder)))


def lying_bytes(root: Path) -> int:
    """Return how many bytes of segments lie below a root."""
    total = 0
    for place in (place for folder in entries(root) for place in entries(folder, f"*{ENDING}*")):
        # One that was just brought in is gone.
        with suppress(FileNotFoundError):
            total += place.stat().st_size
    return total


def _living(folder: Path) -> str:
    try:
        with (folder / LOCK).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(FileNotFoundError):
            return (folder / LOCK).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # It is being made, was just removed, or is none.
        return ""
    return ""


@contextmanager
def _claimed(root: Path, folder: Path) -> Iterator[bool]:
    with held(root):
        lock = _claim(folder)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _claim(folder: Path) -> int | None:
    """Return the lock of a folder whose process has died; one without a lock was never finished, and is removed."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        with suppress(OSError):
            folder.rmdir()
        return None
    except OSError:
        # It is closed to us, or no folder.
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _remove(folder: Path) -> None:
    (folder / LOCK).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        # Something else lies there: it is not ours to remove.
        return
