"""What a capture holds, and files of them: sealed (AES-256-GCM), each under its own name and until its own time.

    <folder>/<made>-<expires>-<token>.masked    features and masked output
    <folder>/<made>-<expires>-<token>.raw       what came in, under another key

Times are milliseconds since the epoch. A file that was renamed, changed or kept too long does not open.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from mlops.folders import entries
from mlops.redis import Seal

MASKED: Final = ".masked"
RAW: Final = ".raw"
TOKEN_BYTES: Final = 8
INCOMING: Final = "."
"""How the name of a file begins while it is being written."""
_KINDS: Final = "biuf"
"""Kinds of arrays that are kept: truth values, whole numbers and floats."""


class Capture(msgspec.Struct, frozen=True, gc=False):
    """What was captured of one prediction.

    Attributes:
        identity: Name of the prediction.
        time: When the request began, in seconds since the epoch.
        endpoint: What was asked.
        model: Name of the registered model that answered.
        version: Its version.
        variant: Name of the variant.
        features: What the decision was made of, or what came of it on the way, such as the boxes of faces.
        output: The masked output, encoded, or else the outputs of a generic model; of a raw capture, what came in.
        media_type: Media type of the output; empty for the outputs of a generic model.
        report: What was done, as plain JSON values.
    """

    identity: str
    time: float
    endpoint: str
    model: str
    version: str
    variant: str
    features: Mapping[str, Any] = {}
    output: Any = b""
    media_type: str = ""
    report: Mapping[str, Any] = {}


class Unreadable(Exception):
    """A file of captures does not open: it was changed, is of another key, or its time is over."""


def write_captures(
    folder: Path, captures: Sequence[Capture], ending: str, seal: Seal, now: float, keep_seconds: float
) -> Path:
    """Write a file of captures, all of it or nothing, and return where it is.

    Raises:
        OSError: The disk does not take it.
        TypeError, ValueError: A feature is neither a number, text, an array nor made of them.
    """
    name = f"{_ms(now)}-{_ms(now + keep_seconds)}-{secrets.token_hex(TOKEN_BYTES)}{ending}"
    sealed = seal.close(name.encode(), _ENCODER.encode(list(captures)), keep_seconds)
    incoming = folder / f"{INCOMING}{name}"
    try:
        incoming.write_bytes(sealed)
        incoming.chmod(0o600)
        return incoming.rename(folder / name)
    except OSError:
        with suppress(OSError):
            incoming.unlink(missing_ok=True)
        raise


def read_captures(place: Path, seal: Seal) -> list[Capture]:
    """Return the captures of a file; arrays are arrays again.

    Raises:
        Unreadable: It does not open.
        OSError: It cannot be read.
    """
    opened = seal.open(place.name.encode(), place.read_bytes())
    if opened is None:
        raise Unreadable(f"{place.name} does not open")
    try:
        return [_whole(capture) for capture in _DECODER.decode(opened)]
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"{place.name} holds no captures") from error


def files(folder: Path, ending: str) -> list[Path]:
    """Return the files of captures of one kind that are whole, oldest first."""
    return entries(folder, f"[!{INCOMING}]*-*-*{ending}")


def cut_off(folder: Path) -> list[Path]:
    """Return the files that are being written, or that whoever wrote them was killed over."""
    return entries(folder, f"{INCOMING}*-*-*")


def made_at(place: Path) -> float:
    """Return when a file was made, in seconds since the epoch; 0 where its name does not say."""
    try:
        return int(place.name.split("-")[0]) / 1000
    except ValueError:
        return 0.0


def is_over(place: Path, now: float) -> bool:
    """Say whether the time of a file is over; one without a time in its name has none left."""
    try:
        return int(place.name.split("-")[1]) <= now * 1000
    except (IndexError, ValueError):
        return True


def bytes_in(folder: Path) -> int:
    """Return how many bytes of captures a folder holds."""
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    for place in entries(folder):
        with suppress(FileNotFoundError):
            yield place.stat().st_size


def _ms(seconds: float) -> str:
    return f"{int(seconds * 1000):013d}"


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        return {"dtype": value.dtype.str, "shape": value.shape, "array": value.tobytes()}
    raise TypeError(f"{type(value).__name__} is not captured")


def _whole(capture: Capture) -> Capture:
    features = {name: _restored(value) for name, value in capture.features.items()}
    return msgspec.structs.replace(capture, features=features, output=_restored(capture.output))


def _restored(value: Any) -> Any:  # noqa: ANN401  # whatever was captured
    if not isinstance(value, dict):
        return value
    if value.keys() == {"dtype", "shape", "array"}:
        array: NDArray[Any] = np.frombuffer(value["array"], np.dtype(value["dtype"]))
        return array.reshape(value["shape"])
    return {name: _restored(each) for name, each in value.items()}


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER: Final = msgspec.msgpack.Decoder(list[Capture])
