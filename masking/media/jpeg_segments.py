"""The marker segments of a JPEG file (ITU-T T.81, annex B), walked strictly and read for what decoding needs."""

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.media.decoded import Note
from masking.media.exif import orientation
from masking.media.icc import MAX_PROFILE_BYTES

_SOF2, _DHT, _SOI, _EOI, _SOS, _DQT = 0xC2, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_METADATA: Final = frozenset({*range(_APP0, _APP15 + 1), _COM})
_STANDALONE: Final = frozenset({0x00, 0x01, *range(0xD0, _SOI + 1)})
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SUPPORTED_FRAMES: Final = frozenset({0xC0, 0xC1, _SOF2})

_MARKER: Final = re.compile(rb"\xff+([^\xff])", re.DOTALL)

# What a picture without metadata is made of: frame, tables, restart interval, scans, end.
_PICTURE: Final = frozenset({*_SUPPORTED_FRAMES, _DHT, _DQT, 0xDD, _SOS, _EOI})

# Headers that tell the meaning of the components and nothing more: version 1.01 without a density, and transform 0.
JFIF: Final = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
ADOBE_RGB: Final = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"

# A segment holds 65,535 bytes; length, name and numbers of the part take 16 of them.
_PART_BYTES: Final = 65_519

# Inside a scan, 0xFF is stuffed with a zero or begins a restart marker; anything else ends the scan.
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

# A picture needs a few dozen of each. A file that is nothing but tiny segments or scans only burns time.
_MAX_SEGMENTS: Final = 10_000
_MAX_SCANS: Final = 100

_TABLE: Final = struct.Struct(">64B")
_WIDE_TABLE: Final = struct.Struct(">64H")

# Where the k-th coefficient of the zigzag lies in the 8x8 block (T.81, figure A.6), and the other way round.
ZIGZAG: Final = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
_FROM_ZIGZAG: Final = sorted(range(64), key=ZIGZAG.__getitem__)


class Segment(NamedTuple):
    """One marker segment: its payload is ``data[start:stop]``, and the next marker is due at ``end``."""

    marker: int
    start: int
    stop: int
    end: int


class Component(NamedTuple):
    """One component of the frame: its id, its sampling (horizontal, vertical), the number of its quantisation table."""

    identity: int
    sampling: tuple[int, int]
    table: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame header: what a decoder needs to know before any coefficient."""

    width: int
    height: int
    progressive: bool
    components: tuple[Component, ...]


def walk(data: bytes) -> Iterator[Segment]:
    """Walk the segments from the first after SOI to EOI.

    Raises:
        DamagedMedia: a segment leaves the file, bytes lie between segments, or the file ends before EOI.
    """
    end = 2
    for _ in range(_MAX_SEGMENTS):
        marker, start = _next_marker(data, end)
        if marker == _EOI:
            yield Segment(marker, start, start, start)
            return
        length = int.from_bytes(data[start : start + 2])
        stop = end = start + length
        if marker in _STANDALONE or length < 2 or stop > len(data):
            raise DamagedMedia("this JPEG is truncated, or a segment of it is out of place")
        if marker == _SOS:
            match = _SCAN_END.search(data, stop)
            if match is None:
                raise DamagedMedia("this JPEG is truncated")
            end = match.start()
        yield Segment(marker, start + 2, stop, end)
    raise DamagedMedia("this JPEG has more segments than any picture needs")


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Return the marker that is due at ``position``, fill bytes allowed, and where its payload begins."""
    match = _MARKER.match(data, position)
    if match is None:
        raise DamagedMedia("this JPEG is truncated, or has stray bytes between its segments")
    return match[1][0], match.end()


def read_frame(data: bytes, segments: Iterable[Segment]) -> Frame:
    """Read the first frame header.

    Raises:
        DamagedMedia: there is none, or it contradicts itself.
        UnsupportedMedia: lossless, arithmetic, hierarchical, not of 8 bits, or of an odd number of components.
    """
    segment = next((s for s in segments if s.marker in _FRAMES), None)
    if segment is None or segment.stop - segment.start < 6:
        raise DamagedMedia("this JPEG has no frame header")
    precision, height, width, count = struct.unpack_from(">BHHB", data, segment.start)
    if segment.marker not in _SUPPORTED_FRAMES or precision != 8 or count not in (1, 3, 4):
        raise UnsupportedMedia("only Huffman-coded JPEG of 8 bits with 1, 3 or 4 components is masked here")
    if segment.stop - segment.start != 6 + 3 * count or not width or not height:
        raise DamagedMedia("the frame header of this JPEG contradicts itself")
    fields = struct.iter_unpack("BBB", data[segment.start + 6 : segment.stop])
    components = tuple(Component(i, (s >> 4, s & 15), table) for i, s, table in fields)
    return Frame(width, height, segment.marker == _SOF2, components)


def check_scans(data: bytes, segments: Sequence[Segment], frame: Frame) -> None:
    """Refuse a second frame, a flood of scans, or a component never sent, which libjpeg would show as flat colour.

    Raises:
        DamagedMedia: it is so.
    """
    scans = [data[s.start : s.stop] for s in segments if s.marker == _SOS]
    sent = {component for scan in scans if scan for component in scan[1 : 1 + 2 * scan[0] : 2]}
    complete = {component.identity for component in frame.components} <= sent
    if not complete or len(scans) > _MAX_SCANS or sum(s.marker in _FRAMES for s in segments) != 1:
        raise DamagedMedia("this JPEG lacks scans, or has more of them than any picture needs")


def read_tables(data: bytes, segments: Sequence[Segment]) -> dict[int, tuple[int, ...]]:
    """Read the quantisation tables that stand before the first scan, each of 64 values in natural order.

    Raises:
        DamagedMedia: a table is cut short.
    """
    tables: dict[int, tuple[int, ...]] = {}
    for marker, start, stop, _ in segments:
        if marker == _SOS:
            break
        while marker == _DQT and start < stop:
            wide, number = divmod(data[start], 16)
            layout = _WIDE_TABLE if wide else _TABLE
            if start + 1 + layout.size > stop:
                raise DamagedMedia("a quantisation table of this JPEG is cut short")
            values = layout.unpack_from(data, start + 1)
            tables[number] = tuple(values[_FROM_ZIGZAG[i]] for i in range(64))
            start += 1 + layout.size
    return tables


def holds_rgb(data: bytes, segments: Sequence[Segment], frame: Frame) -> bool:
    """Tell whether three components are R, G and B rather than Y, Cb and Cr, by the rules of libjpeg (jdapimin.c)."""
    if any(s.marker == _APP0 and data.startswith(b"JFIF\0", s.start) for s in segments):
        return False
    for marker, start, stop, _ in segments:
        if _is_adobe(data, marker, start) and stop - start >= 12:
            return data[start + 11] == 0
    return bytes(component.identity for component in frame.components) == b"RGB"


def without_metadata(data: bytes, segments: Sequence[Segment]) -> bytes:
    """The same picture with nothing in it that does not shape a pixel: the decoder sees no more than it must."""
    parts = [b"\xff\xd8"]
    for marker, start, _, end in segments:
        # JFIF and Adobe tell the decoder what the components mean.
        means_colour = (marker == _APP0 and data.startswith(b"JFIF\0", start)) or _is_adobe(data, marker, start)
        if means_colour or marker not in _METADATA:
            parts += [bytes((0xFF, marker)), data[start - 2 : end] if marker != _EOI else b""]
    return b"".join(parts)


def huffman(data: bytes, segments: Iterable[Segment]) -> frozenset[bytes]:
    """The Huffman tables of a file: class and number, counts and values of each (T.81, B.2.4.2)."""
    found = set()
    for marker, start, stop, _ in segments:
        while marker == _DHT and start + 17 <= stop:
            end = start + 17 + sum(data[start + 1 : start + 17])
            found.add(data[start:end])
            start = end
    return frozenset(found)


def tables_change(segments: Sequence[Segment]) -> bool:
    """Tell whether quantisation tables stand after the first scan, as files of several scans may have them."""
    markers = [segment.marker for segment in segments]
    return _DQT in markers[markers.index(_SOS) :] if _SOS in markers else False


def is_bare(data: bytes, segments: Sequence[Segment]) -> bool:
    """Tell whether nothing but the picture is in the file, apart from a JFIF or Adobe header without any content."""
    if segments[-1].end < len(data):
        return False
    return all(segment.marker in _PICTURE or _is_plain_header(data, segment) for segment in segments)


def _is_plain_header(data: bytes, segment: Segment) -> bool:
    return data[segment.start - 4 : segment.stop] in (JFIF, ADOBE_RGB)


def with_profile(data: bytes, profile: bytes | None) -> bytes:
    """Put a colour profile in numbered parts (ICC.1, annex B.4) behind the first segment of a file."""
    if profile is None:
        return data
    parts = [profile[i : i + _PART_BYTES] for i in range(0, len(profile), _PART_BYTES)]
    head = next(walk(data)).end
    body = [
        struct.pack(">HH12sBB", 0xFF00 | _APP2, 16 + len(part), b"ICC_PROFILE", number, len(parts)) + part
        for number, part in enumerate(parts, 1)
    ]
    return data[:head] + b"".join(body) + data[head:]


def _is_adobe(data: bytes, marker: int, start: int) -> bool:
    return marker == _APP14 and data.startswith(b"Adobe", start)


def read_orientation(data: bytes, segments: Sequence[Segment]) -> int:
    """Read the EXIF orientation, 1 to 8, from the first EXIF block."""
    for marker, start, stop, _ in segments:
        if marker == _APP1 and data.startswith(b"Exif\0\0", start):
            return orientation(data[start:stop])
    return 1


def read_profile(data: bytes, segments: Sequence[Segment]) -> bytes | None:
    """Join the colour profile from its numbered parts (ICC.1, annex B.4): empty where it is not whole, None without."""
    parts = sorted(data[s.start + 12 : s.stop] for s in segments if _is_profile(data, s))
    if not parts:
        return None
    whole = [part[:2] for part in parts] == [bytes((i, len(parts))) for i in range(1, min(len(parts), 255) + 1)]
    profile = b"".join(part[2:] for part in parts)
    return profile if whole and len(profile) <= MAX_PROFILE_BYTES else b""


def _is_profile(data: bytes, segment: Segment) -> bool:
    return segment.marker == _APP2 and data.startswith(b"ICC_PROFILE\0", segment.start)


def dropped(data: bytes, segments: Sequence[Segment]) -> tuple[Note, ...]:
    """Say what of the file is not the picture itself: metadata, further pictures, or other bytes after the end."""
    notes = []
    multi = any(s.marker == _APP2 and data.startswith(b"MPF\0", s.start) for s in segments)
    if any(s.marker in _METADATA and not _shapes_pixels(data, s) for s in segments):
        notes.append(Note.METADATA_DROPPED)
    if segments[-1].end < len(data):
        notes.append(Note.EXTRA_PICTURES_DROPPED if multi else Note.TRAILING_DATA_DROPPED)
    return tuple(notes)


def _shapes_pixels(data: bytes, segment: Segment) -> bool:
    # A JFIF header of 14 bytes tells only the format; a longer one holds a thumbnail.
    jfif = segment.marker == _APP0 and data.startswith(b"JFIF\0", segment.start) and segment.stop - segment.start <= 14
    return jfif or _is_adobe(data, segment.marker, segment.start) or _is_profile(data, segment)
