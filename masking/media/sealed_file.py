"""Files that appear under their name complete or not at all: a hidden part beside it, and the step that names it."""

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

from av.error import FFmpegError

from masking.errors import StorageError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def hidden_beside(path: Path, what: str) -> Path:
    """Make an empty file beside ``path``, readable by its owner alone, under a hidden name of its own.

    Raises:
        StorageError: it cannot be made; ``what`` is written there, e.g. ``sound``.
    """
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        os.close(os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise storage_failure(error, what) from error
    return hidden


def settle(hidden: Path, path: Path) -> None:
    """Bring the file to the disk, then give it its name, then bring the name to the disk.

    Raises:
        OSError: one of these failed; ``path`` is then as it was, or complete.
    """
    with hidden.open("rb") as file:
        os.fsync(file.fileno())
    hidden.replace(path)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def storage_failure(error: FFmpegError | OSError, what: str) -> StorageError:
    """Tell a full disk from other failures of writing."""
    if error.errno in _FULL:
        return StorageError("the disk is full")
    return StorageError(f"the {what} cannot be written")
