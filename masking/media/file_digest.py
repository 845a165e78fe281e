"""The digest by which a file is known in reports."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Final

CHUNK_BYTES: Final = 1 << 20


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, hex, reading a piece at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(partial(file.read, CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()
