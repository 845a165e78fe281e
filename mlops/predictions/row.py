"""What is kept of every prediction, and its name."""

import os
import time
from collections.abc import Mapping
from typing import Final

import msgspec

OK: Final = "ok"
CACHED: Final = "cached"
REJECTED: Final = "rejected"
REFUSED: Final = "refused"
FAILED: Final = "failed"
OUTCOMES: Final = (OK, CACHED, REJECTED, REFUSED, FAILED)
FACES: Final = "faces"
"""The count that is a column of its own, since releases are judged by it."""
UTILITY: Final = "utility"
"""The count that says how useful an answer is, in [0, 1]."""
PICKED: Final = "picked"
"""The count of a request that named the variant or version it wants: nobody drew that."""
TAIL_BYTES: Final = 10
"""Bytes of a name after its time: version and variant among random bits."""
DRAWN: Final = 256
"""Names for which the system is asked for random bytes at a time: asking takes longer than all the rest."""
_VERSION: Final = bytes(0x70 | byte & 0x0F for byte in range(256))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))
_tails: Final[list[str]] = []


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One answer to one request; a struct, since each request makes one, and dataclasses take several times as long.

    Attributes:
        identity: Its name (`new_identity`), which the answer has as ``X-Prediction-Id``.
        time: When the request began, in seconds since the epoch.
        endpoint: What was asked: ``faces``, ``voices``, or the name of a generic model.
        model: Name of the registered model that answered.
        version: Its version.
        variant: ``champion``, ``challenger``, or an arm of an experiment.
        release: Id of the release that ran; empty for none, and for a request that picked its variant.
        experiment: Id of the experiment that ran; empty for none.
        subject: Whoever asked, as he was named; empty where nobody was. The recorder keeps a keyed hash of it alone.
        outcome: ``ok``, ``cached`` (an answer made before), ``rejected`` (not valid), ``refused`` (overload, too late)
            or ``failed`` (our fault).
        status: HTTP status.
        seconds: From request to answer.
        stages: Seconds by stage.
        counts: What was found, such as ``{"faces": 2}``.
        cache: What the cache had to do with it, as in ``X-Cache``; empty where there is none.
        shadow: Whether nobody got this answer.
    """

    identity: str
    time: float
    endpoint: str
    model: str
    version: str
    variant: str
    release: str
    experiment: str
    subject: str
    outcome: str
    status: int
    seconds: float
    stages: Mapping[str, float] = {}
    counts: Mapping[str, float] = {}
    cache: str = ""
    shadow: bool = False


def new_identity() -> str:
    """Return a new name: a version 7 UUID (RFC 9562) as 32 hex digits, so that names made later sort later."""
    try:
        tail = _tails.pop()
    except IndexError:
        tail, *others = _drawn()
        _tails.extend(others)
    return f"{time.time_ns() // 1_000_000:012x}{tail}"


def _drawn() -> list[str]:
    """Return what names have after their time: version, random bits, variant and random bits again."""
    noise = bytearray(os.urandom(TAIL_BYTES * DRAWN))
    noise[::TAIL_BYTES] = noise[::TAIL_BYTES].translate(_VERSION)
    noise[2::TAIL_BYTES] = noise[2::TAIL_BYTES].translate(_VARIANT)
    return noise.hex(" ", TAIL_BYTES).split()


# A process that is forked must not give the names that its parent gives.
os.register_at_fork(after_in_child=_tails.clear)


def made_at(identity: str) -> float | None:
    """Return when a name was made, in seconds since the epoch, to the millisecond; None where it does not say."""
    try:
        return int(identity[:12], 16) / 1000 if len(identity) == 32 and identity[12] == "7" else None
    except ValueError:
        return None
