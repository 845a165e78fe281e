"""What kind of container a file is, by its first bytes, and whether its end is missing, by the sizes that it states."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

HEAD_BYTES: Final = 4096

_FIRST_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STILL_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"jp2 ", b"jpx ", b"jpm ", b"crx ")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
_DOCTYPE: Final = b"\x42\x82"
_ELEMENT_HEAD: Final = 12  # an id of up to four bytes and a size of up to eight
_OPENED: Final = frozenset({_SEGMENT, _CLUSTER})
_KNOWN: Final = frozenset(
    bytes.fromhex(name)
    for name in [
        *("1a45dfa3", "114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367", "ec", "bf"),
        *("e7", "a7", "ab", "a3", "a0", "af", "5854"),  # in a cluster
    ]
)


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


def first_break(path: Path, container: str) -> int | None:
    """Find the byte at which the structure that a file states no longer fits its bytes; None where all of it fits.

    In MP4 and MOV that is the end of the file where a box (ISO/IEC 14496-12) is longer; in Matroska the first element
    of the segment or of a cluster (RFC 9559) that is cut off, or precedes what is none, as in an overwritten region.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if container in ("mp4", "mov"):
            return size if _boxes_end(file, size) > size else None
        return _element_break(file, size)


def boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box between two bytes, and where its contents begin and end."""
    while at + 8 <= end:
        file.seek(at)
        header = file.read(16)
        length, body = int.from_bytes(header[:4], "big"), at + 8
        if length == 1:
            length, body = int.from_bytes(header[8:], "big"), at + 16
        stop = end if length == 0 else min(end, at + length)
        if stop < body:
            return
        yield header[4:8], body, stop
        at = stop


def elements(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the id of each element between two bytes, and where its contents begin and end."""
    while at < end:
        file.seek(at)
        kind, body, length = _element(file.read(_ELEMENT_HEAD))
        stop = end if length is None else min(end, at + body + length)
        if not body or stop < at + body:
            return
        yield kind, at + body, stop
        at = stop


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


def _element_break(file: BinaryIO, size: int) -> int | None:
    at, sound, end, strangers = 0, 0, size, 0
    while at < end:
        file.seek(at)
        head = file.read(_ELEMENT_HEAD)
        kind, body, length = _element(head)
        known = kind in _KNOWN or kind in _OPENED
        strangers = 0 if known else strangers + 1
        past = length is None or at + body + length > min(end, size)
        if strangers > 1 or body == 0 or (past and not known):
            return sound  # what was overwritten begins somewhere in the element before
        if known:
            sound = at
        if kind == _SEGMENT and length is not None:
            end = at + body + length
        if kind in _OPENED:
            at += body
        elif length is None or past:
            return at
        else:
            at += body + length
        if at >= size:
            break
    return size if end > size else None


def _element(head: bytes) -> tuple[bytes, int, int | None]:
    """Read the id of an element, the length of its header, 0 where it is none, and its size, None where not stated."""
    id_width = 9 - head[0].bit_length()
    size_width = 9 - head[id_width].bit_length() if id_width <= 4 and len(head) > id_width else 9
    body = id_width + size_width
    if size_width > 8 or len(head) < body:
        return b"", 0, None
    ones = (1 << 7 * size_width) - 1
    length = int.from_bytes(head[id_width:body], "big") & ones
    return head[:id_width], body, None if length == ones else length
