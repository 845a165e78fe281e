"""Putting a result in its place: all of it under its name, or nothing."""

import os
import tempfile
from pathlib import Path

from masking.errors import StorageError


def put(data: bytes, target: Path, *, force: bool, private: bool = False) -> None:
    """Write a file under its final name in one step; folders above it are made.

    Until then it has a hidden name, and only its owner may read it. It gets the permissions that the process gives to
    new files, unless it stays its owner's alone (``private``), and the time of its making: when the original was taken
    is metadata too.

    Raises:
        StorageError: It cannot be written, or exists and ``force`` is false.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".masker-", suffix=".part")
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror}") from error
    incoming = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        settle(incoming, target, force=force, private=private)
    except OSError as error:
        raise StorageError(f"{target}: {error.strerror}") from error
    finally:
        incoming.unlink(missing_ok=True)


def settle(incoming: Path, target: Path, *, force: bool, private: bool = False) -> None:
    """Give a finished file its name and, unless it stays its owner's alone, the permissions of new files.

    Raises:
        FileExistsError: The name is taken and ``force`` is false.
        OSError: As the system says.
    """
    if not private:
        open_up(incoming)
    if not force and os.path.lexists(target):
        raise FileExistsError(17, "exists already")
    incoming.replace(target)


def open_up(path: Path) -> None:
    """Give a finished file the permissions that the process gives to new files."""
    path.chmod(0o666 & ~_UMASK)


def _umask() -> int:
    """Give the umask, which can be read by setting it only."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
"""Read once, before any thread begins: reading it sets it for an instant."""
