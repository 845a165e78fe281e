"""What part of the stored picture is to be shown, where a container says so, read from its bytes.

That is the clean aperture of MP4 and MOV (ISO/IEC 14496-12, 12.1.4) and the crop of Matroska (RFC 9559, 5.1.4.1.28).
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import ceil, floor
from pathlib import Path
from typing import BinaryIO, Final

from masking.media.video_layout import Layout
from masking.media.video_sniff import boxes, elements

_TRACK: Final = (b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae")
_VIDEO: Final = b"\xe0"
_CROP: Final = (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")  # left, top, right, bottom
_DESCRIPTION: Final = b"moov", b"trak"
_ENTRIES: Final = b"mdia", b"minf", b"stbl", b"stsd"
_BEFORE_ENTRIES: Final = 8
_BEFORE_BOXES: Final = 78  # of a visual sample entry
_MOST_BYTES: Final = 8  # of a number
_CLAP: Final = struct.Struct(">IIIIiIiI")

Parts = Callable[[BinaryIO, int, int], Iterator[tuple[bytes, int, int]]]
Edges = tuple[Fraction | int, Fraction | int, Fraction | int, Fraction | int]


@dataclass(frozen=True, slots=True)
class Aperture:
    """A rectangle of the stored picture, in its pixels, and how wide and high that is."""

    left: int
    top: int
    width: int
    height: int
    stored: tuple[int, int]


def aperture(
    path: Path, container: str, stream: tuple[int, int], size: tuple[int, int], layout: Layout
) -> Aperture | None:
    """Return what part of the picture is to be shown; None for all of it, or where what is said makes no sense.

    It begins where samples of colour do: nothing is shown that is not to be, though a column less may be.

    Args:
        path: The file.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.
        stream: Number and id of the video stream, as FFmpeg has them.
        size: Width and height of the stored picture.
        layout: Its samples.
    """
    with path.open("rb") as file:
        end = path.stat().st_size
        found = _clean(file, end, stream[1], size) if container in ("mp4", "mov") else _crop(file, end, stream[0], size)
    if found is None:
        return None
    across, down = max(1, layout.across), max(1, layout.down)
    left, top = max(0, ceil(found[0] / across) * across), max(0, ceil(found[1] / down) * down)
    right, bottom = min(size[0], floor(found[2])), min(size[1], floor(found[3]))
    if left >= right or top >= bottom or (left, top, right, bottom) == (0, 0, *size):
        return None
    return Aperture(left, top, right - left, bottom - top, size)


def _clean(file: BinaryIO, end: int, number: int, size: tuple[int, int]) -> Edges | None:
    for track in _within(file, (0, end), *_DESCRIPTION):
        if _track_id(file, track) != number:
            continue
        for begin, stop in _within(file, track, *_ENTRIES):
            for _, entry, entry_end in boxes(file, begin + _BEFORE_ENTRIES, stop):
                for at, _ in _within(file, (entry + _BEFORE_BOXES, entry_end), b"clap"):
                    return _edges(_read(file, at, _CLAP.size), size)
    return None


def _edges(clap: bytes, size: tuple[int, int]) -> Edges | None:
    values = _CLAP.unpack(clap) if len(clap) == _CLAP.size else (0,) * 8
    if not all(values[1::2]):
        return None
    width, height, right, down = (Fraction(*values[place : place + 2]) for place in (0, 2, 4, 6))
    left, top = (size[0] - width) / 2 + right, (size[1] - height) / 2 + down
    return left, top, left + width, top + height


def _track_id(file: BinaryIO, track: tuple[int, int]) -> int | None:
    for begin, _ in _within(file, track, b"tkhd"):
        head = _read(file, begin, 24)
        return int.from_bytes(head[20:24] if head[:1] == b"\1" else head[12:16], "big")
    return None


def _within(file: BinaryIO, place: tuple[int, int], *names: bytes, parts: Parts = boxes) -> Iterator[tuple[int, int]]:
    """Yield where the contents of the parts of these names lie, each name within the one before."""
    for kind, begin, end in parts(file, *place):
        if kind == names[0]:
            if names[1:]:
                yield from _within(file, (begin, end), *names[1:], parts=parts)
            else:
                yield begin, end


def _crop(file: BinaryIO, end: int, number: int, size: tuple[int, int]) -> Edges | None:
    """Read the crop of the track of that number; streams are counted as tracks are."""
    track = next(islice(_within(file, (0, end), *_TRACK, parts=elements), number, None), (0, 0))
    for video in _within(file, track, _VIDEO, parts=elements):
        told = {
            kind: int.from_bytes(_read(file, begin, min(_MOST_BYTES, end - begin)), "big")
            for kind, begin, end in elements(file, *video)
            if kind in _CROP
        }
        left, top, right, bottom = (told.get(kind, 0) for kind in _CROP)
        return left, top, size[0] - right, size[1] - bottom
    return None


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
