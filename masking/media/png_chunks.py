"""The chunks of a PNG file (W3C PNG, third edition): walked with every checksum, and the header among them."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from masking.errors import DamagedMedia

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6

_DEPTHS: Final = {
    GREY: {1, 2, 4, 8, 16},
    RGB: {8, 16},
    PALETTE: {1, 2, 4, 8},
    GREY_ALPHA: {8, 16},
    RGBA: {8, 16},
}
_CHANNELS: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_HEADER_END: Final = len(MAGIC) + 8 + 13 + 4

# Encoders that cut the picture finely write one chunk for some 8 kB; a file of empty chunks only burns time.
_MAX_CHUNKS: Final = 65_536


class Chunk(NamedTuple):
    """One chunk: its payload is ``data[start:stop]``; four bytes of checksum follow."""

    kind: bytes
    start: int
    stop: int


class Header(NamedTuple):
    """The IHDR chunk."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    @property
    def inflated_bytes(self) -> int:
        """Length of the filtered scan lines, all passes together (section 7.3 and 8.1)."""
        bits = self.depth * _CHANNELS[self.colour]
        total = 0
        for x, y, dx, dy in _ADAM7 if self.interlaced else ((0, 0, 1, 1),):
            width, height = -((x - self.width) // dx), -((y - self.height) // dy)
            total += height * (1 + (width * bits + 7) // 8) if width > 0 and height > 0 else 0
        return total


def read_header(data: bytes) -> Header:
    """Read IHDR, which must come first.

    Raises:
        DamagedMedia: it is missing, damaged or contradicts the standard.
    """
    if len(data) < _HEADER_END or data[8:16] != b"\0\0\0\rIHDR" or zlib.crc32(data[12:29]).to_bytes(4) != data[29:33]:
        raise DamagedMedia("this PNG has no intact header")
    width, height, depth, colour, compression, filtering, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        raise DamagedMedia("the header of this PNG contradicts the standard")
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise DamagedMedia("the header of this PNG contradicts the standard")
    return Header(width, height, depth, colour, bool(interlace))


def walk(data: bytes) -> Iterator[Chunk]:
    """Walk the chunks from IHDR to IEND, each with its checksum checked.

    Raises:
        DamagedMedia: a chunk leaves the file or fails its checksum, or the file ends before IEND.
    """
    position = len(MAGIC)
    view = memoryview(data)
    for _ in range(_MAX_CHUNKS):
        start = position + 8
        stop = start + int.from_bytes(data[position : position + 4])
        if stop + 4 > len(data) or zlib.crc32(view[position + 4 : stop]) != int.from_bytes(data[stop : stop + 4]):
            raise DamagedMedia("this PNG is truncated or fails a checksum")
        kind = data[position + 4 : start]
        yield Chunk(kind, start, stop)
        if kind == b"IEND":
            return
        position = stop + 4
    raise DamagedMedia("this PNG has more chunks than any picture needs")


def chunk(kind: bytes, payload: bytes) -> bytes:
    """Write one chunk."""
    return struct.pack(">I", len(payload)) + kind + payload + zlib.crc32(kind + payload).to_bytes(4)


def header(head: Header) -> bytes:
    """Write an IHDR chunk."""
    return chunk(
        b"IHDR", struct.pack(">IIBBBBB", head.width, head.height, head.depth, head.colour, 0, 0, head.interlaced)
    )
