"""The media of jobs at rest: a folder for each job, readable by its owner alone.

<root>/<job>/input          what was uploaded; gone as soon as the job has ended
<root>/<job>/result-<n>     what its n-th attempt made
"""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.folders import entries

INPUT: Final = "input"
IDENTITY_BYTES: Final = 16
IDENTITY_PATTERN: Final = "^[0-9a-f]{32}$"
OWNER_ONLY: Final = 0o700


def new_identity() -> str:
    """Return a name for a new job that nobody can guess."""
    return secrets.token_hex(IDENTITY_BYTES)


@dataclass(frozen=True, slots=True)
class Spool:
    """The folders of all jobs.

    Attributes:
        root: The folder that holds them.
        reserve_bytes: What stays free on its disk whatever is uploaded.
        free_bytes: Gives the free bytes of a folder's disk.
    """

    root: Path
    reserve_bytes: int
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free

    def make(self, identity: str) -> Path:
        """Make the folder of a new job and return where its input goes."""
        self.root.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        folder = self.folder(identity)
        folder.mkdir(mode=OWNER_ONLY)
        return folder / INPUT

    def folder(self, identity: str) -> Path:
        """Return the folder of a job."""
        return self.root / identity

    def source(self, identity: str) -> Path:
        """Return the input of a job."""
        return self.folder(identity) / INPUT

    def has_room(self, size_bytes: int) -> bool:
        """Say whether so many bytes more leave the reserve free."""
        self.root.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        return self.free_bytes(self.root) - size_bytes >= self.reserve_bytes

    def keep_only(self, identity: str, name: str) -> None:
        """Remove every file of a job but the one of that name."""
        for file in entries(self.folder(identity)):
            if file.name != name:
                _remove(file)

    def remove(self, identity: str) -> None:
        """Remove a job's folder with all that is in it."""
        shutil.rmtree(self.folder(identity), ignore_errors=True)

    def identities(self) -> Iterator[str]:
        """Give the names of all folders that are there."""
        return (entry.name for entry in entries(self.root) if entry.is_dir())

    def idle_seconds(self, identity: str) -> float:
        """Return how long nothing was written into a job's folder; 0 where it is gone."""
        folder = self.folder(identity)
        written = 0.0
        for entry in (folder, *entries(folder)):
            # An upload that was cut off is removed by whoever took it.
            with suppress(FileNotFoundError):
                written = max(written, entry.stat().st_mtime)
        return time.time() - written if written else 0.0


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
