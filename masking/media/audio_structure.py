"""What a sound file states of its own length and build, read from its bytes, so that a missing end is noticed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from masking.errors import UnsupportedMedia
from masking.media import video_sniff
from masking.media.audio_sniff import HEAD_BYTES, id3_end, layer_3_frame_bytes

_UNKNOWN_SIZE: Final = (0, 0xFFFFFFFF)
_FORMS: Final = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_OGG_HEAD: Final = 27
_OGG_FIRST: Final = 2
_OGG_LAST: Final = 4
_XING_SEARCH: Final = 48


@dataclass(frozen=True, slots=True)
class Structure:
    """What was read of the build of a file.

    Attributes:
        broken_at: byte at which the file no longer is what it states, None where all of it fits.
        frames: MPEG frames that a Xing or Info header states, None where there is none.
        trailing: what is no chunk follows the samples of a WAV, such as more of them or another recording.
    """

    broken_at: int | None = None
    frames: int | None = None
    trailing: bool = False


def structure(path: Path, container: str) -> Structure:
    """Read the build of a file whose container is known.

    Raises:
        UnsupportedMedia: an Ogg file in which several streams follow each other.
    """
    if container in ("m4a", "mov", "mkv", "webm"):
        return Structure(video_sniff.first_break(path, "mp4" if container == "m4a" else container))
    size = path.stat().st_size
    with path.open("rb") as file:
        if container == "wav":
            return _riff(file, size)
        if container == "ogg":
            return Structure(_ogg_break(file, size))
        return Structure(frames=_xing_frames(file)) if container == "mp3" else Structure()


def _riff(file: BinaryIO, size: int) -> Structure:
    """Find where the samples of a WAV (RIFF, EBU Tech 3306 for RF64) end; unknown sizes run to the end of the file."""
    form = file.read(12)
    long_data = 0
    at = 12
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"ds64":
            long_data = int.from_bytes(file.read(16)[8:], "little")
        if kind == b"data":
            if form[:4] in (b"RF64", b"BW64") and length == 0xFFFFFFFF:
                length = long_data
            if length in _UNKNOWN_SIZE:
                return Structure()
            end = at + 8 + length
            return Structure(size) if end > size else Structure(trailing=not _all_chunks(file, end + length % 2, size))
        at += 8 + length + length % 2
    return Structure()


def _all_chunks(file: BinaryIO, at: int, size: int) -> bool:
    """Tell whether all bytes from ``at`` on are chunks of the same RIFF, such as LIST and id3."""
    while at < size:
        file.seek(at)
        head = file.read(8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        named = len(head) == 8 and kind.isascii() and kind.decode().isprintable()
        if not named or kind in _FORMS or at + 8 + length > size:
            return False
        at += 8 + length + length % 2
    return True


def _ogg_break(file: BinaryIO, size: int) -> int | None:
    """Walk over the pages (RFC 3533) and find the first that is cut off, missing, or none at all."""
    begun = False
    ended = False
    pages: dict[bytes, int] = {}
    for at, head in _ogg_pages(file, size):
        if not head:
            return at
        serial, number = head[14:18], int.from_bytes(head[18:22], "little")
        if head[5] & _OGG_FIRST and begun:
            raise UnsupportedMedia("an Ogg file in which streams follow each other is not masked here: split it")
        if serial in pages and number != pages[serial] + 1:
            return at
        begun = begun or not head[5] & _OGG_FIRST
        pages[serial] = number
        ended = ended or bool(head[5] & _OGG_LAST)
    return None if ended else size


def _ogg_pages(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield where each page begins, and its head; a page that is cut off, or none, as an empty head, and the last."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(_OGG_HEAD)
        lacing = file.read(head[26]) if len(head) == _OGG_HEAD else b""
        end = at + _OGG_HEAD + len(lacing) + sum(lacing)
        whole = head[:4] == b"OggS" and len(head) == _OGG_HEAD and len(lacing) == head[26] and end <= size
        yield at, head if whole else b""
        if not whole:
            return
        at = end


def _xing_frames(file: BinaryIO) -> int | None:
    """Read how many frames the Xing or Info header of an MP3 states."""
    file.seek(id3_end(file))
    head = file.read(HEAD_BYTES)
    if not layer_3_frame_bytes(head):
        return None
    at = max(head.find(b"Xing", 0, _XING_SEARCH), head.find(b"Info", 0, _XING_SEARCH))
    if at < 0 or len(head) < at + 12 or not head[at + 7] & 1:
        return None
    return int.from_bytes(head[at + 8 : at + 12], "big")
