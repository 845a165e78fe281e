"""What stands for whoever asks: a keyed hash, the same in all processes that share the key, and nothing without it."""

from hashlib import blake2b
from pathlib import Path
from typing import Final

from mlops.predictions.keys import key_for

PURPOSE: Final = "subject"
DIGEST_BYTES: Final = 16


def subject_key(secret: bytes | None, folder: Path) -> bytes:
    """Return the key of subjects; arguments and errors as `mlops.predictions.keys.key_for` has them."""
    return key_for(PURPOSE, secret, folder)


def pseudonym(subject: str, key: bytes) -> str:
    """Return what stands for a subject in rows: BLAKE2b (RFC 7693) under the key, 32 hex digits; empty for nobody."""
    return (
        blake2b(subject.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES, key=key).hexdigest()
        if subject
        else ""
    )
