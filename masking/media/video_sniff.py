"""What kind of container a file is, by its first bytes, and whether its end is missing, by the sizes that it states."""

from pathlib import Path
from typing import BinaryIO, Final

HEAD_BYTES: Final = 4096

_FIRST_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"jp2 ", b"jpx ", b"jpm ", b"crx ")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_DOCTYPE: Final = b"\x42\x82"


def sniff_video(head: bytes) -> bool:
    """Tell whether a file that begins with ``head`` (some 64 bytes) is of a container that is masked here."""
    return container_of(head) is not None


def container_of(head: bytes) -> str | None:
    """Name the container: ``mp4``, ``mov``, ``mkv`` or ``webm``; None for anything else, HEIF pictures among it."""
    if head.startswith(_EBML):
        return _matroska_kind(head)
    if len(head) < 12 or head[4:8] not in _FIRST_BOXES:
        return None
    if head[4:8] != b"ftyp":
        return "mov"
    brand = head[8:12]
    if brand in _STILL_BRANDS:
        return None
    return "mov" if brand == b"qt  " else "mp4"


def is_cut_off(path: Path, container: str) -> bool:
    """Tell whether a box (ISO/IEC 14496-12) or the segment (RFC 9559) states more bytes than the file has."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container in ("mp4", "mov"):
            return _boxes_end(file, size) > size
        return _segment_end(file) > size


def _matroska_kind(head: bytes) -> str | None:
    at = head.find(_DOCTYPE, 4, 256)
    if at < 0 or at + 3 > len(head):
        return None
    length = head[at + 2] & 0x7F
    kind = head[at + 3 : at + 3 + length].rstrip(b"\0")
    return {b"matroska": "mkv", b"webm": "webm"}.get(kind)


def _boxes_end(file: BinaryIO, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length == 0:  # to the end of the file
            return size
        if length < 8:  # not a box: what follows the last one does not count
            return at
        at += length
    return at


def _segment_end(file: BinaryIO) -> int:
    head = file.read(HEAD_BYTES)
    at = head.find(_SEGMENT)
    if at < 0 or at + 5 > len(head):
        return 0
    at += len(_SEGMENT)
    first = head[at]
    width = 9 - first.bit_length()
    length = int.from_bytes(head[at : at + width], "big") & ((1 << 7 * width) - 1)
    if width > 8 or length == (1 << 7 * width) - 1:  # a size that was never filled in: a stream
        return 0
    return at + width + length
