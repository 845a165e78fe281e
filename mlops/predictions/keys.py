"""Keys of the platform: each purpose has its own, made from the platform's secret, or drawn once and kept in a file."""

import os
import secrets
from hashlib import blake2b
from pathlib import Path
from typing import Final

from mlops.folders import held

KEY_BYTES: Final = 32


def key_for(purpose: str, secret: bytes | None, folder: Path) -> bytes:
    """Return the key of a purpose: BLAKE2b (RFC 7693) of the secret, with the purpose as personalisation.

    Args:
        purpose: Its name, 16 letters at most.
        secret: What all processes of the platform share, if there is such a thing.
        folder: Where ``<purpose>.key`` is kept without it.

    Raises:
        OSError: The file cannot be read or made.
    """
    if secret is not None:
        return blake2b(secret, digest_size=KEY_BYTES, person=purpose.encode()).digest()
    place = folder / f"{purpose}.key"
    return _read(place) or _drawn(place)


def _read(place: Path) -> bytes | None:
    """Return the key in a file; None where there is none, or one that was cut off, which is no secret."""
    try:
        key = place.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == KEY_BYTES else None


def _drawn(place: Path) -> bytes:
    place.parent.mkdir(parents=True, exist_ok=True)
    with held(place.parent):
        # The first wins, and nobody ever reads half a key.
        found = _read(place)
        if found is not None:
            return found
        key, incoming = secrets.token_bytes(KEY_BYTES), place.with_name(f".{place.name}.{secrets.token_hex(8)}")
        descriptor = os.open(incoming, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
                file.flush()
                os.fsync(descriptor)
            incoming.replace(place)
        except BaseException:
            incoming.unlink(missing_ok=True)
            raise
        return key
