"""Folders that come and go while a test looks at them, as those of processes do that begin and die."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

FOLDERS: Final = 30
"""So many at once: the longer a look takes, the more of them go meanwhile."""


@contextmanager
def vanishing(root: Path, *files: str, name: str = "gone-{}") -> Iterator[None]:
    """Make and remove folders with files in them below a root, again and again, while the context is open."""
    ended = threading.Event()

    def make_and_remove() -> None:
        folders = [root / name.format(number) for number in range(FOLDERS)]
        while not ended.is_set():
            for folder in folders:
                # Whoever looks may remove one as well.
                with suppress(FileNotFoundError, FileExistsError):
                    folder.mkdir(parents=True, exist_ok=True)
                    for file in files:
                        (folder / file).touch()
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)

    thread = threading.Thread(target=make_and_remove, name="vanishing")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
