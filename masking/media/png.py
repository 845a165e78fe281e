"""PNG (W3C PNG, third edition): strict decoding and lossless encoding, 8 and 16 bits, grey and alpha as they were."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np

from masking.errors import DamagedMedia
from masking.media.decoded import Colour, Decoded, Note
from masking.media.exif import orientation
from masking.media.icc import MAX_PROFILE_BYTES
from masking.media.png_chunks import (
    GREY,
    GREY_ALPHA,
    MAGIC,
    PALETTE,
    RGB,
    RGBA,
    Chunk,
    Header,
    chunk,
    header,
    read_header,
    walk,
)
from masking.types import Pixels

# A twelfth larger than zlib's default and about twice as fast on photographs.
_COMPRESSION: Final = 3

_WINDOW: Final = 1 << 20
_SLICE: Final = 1 << 16
_SWAP: Final = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
_NOT_METADATA: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"}
)
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})


@dataclass(frozen=True, slots=True)
class PngRecipe:
    """PNG needs nothing beyond the pixels."""


def read_size(data: bytes) -> tuple[int, int]:
    """Read width and height as stored, from the first chunk alone.

    Raises:
        DamagedMedia: the header is missing, damaged or contradicts the standard.
    """
    head = read_header(data)
    return head.width, head.height


def is_animated(data: bytes) -> bool:
    """Tell whether the file declares an animation (acTL, which stands before the picture).

    Raises:
        DamagedMedia: truncated or corrupt before the picture begins.
    """
    return next(c.kind for c in walk(data) if c.kind in (b"acTL", b"IDAT", b"IEND")) == b"acTL"


def decode(data: bytes) -> tuple[Decoded, PngRecipe]:
    """Decode: (h, w) grey, (h, w, 2) grey and alpha, (h, w, 3) RGB or (h, w, 4) RGBA, uint8 or uint16.

    Raises:
        DamagedMedia: truncated or corrupt, also where libpng would only warn.
    """
    head = read_header(data)
    chunks = list(walk(data))
    image = _image_data(data, chunks)
    _check_inflated(data, chunks, head.inflated_bytes)
    one = {c.kind: data[c.start : c.stop] for c in reversed(chunks) if c.kind != b"IDAT"}
    samples = _samples(head, image)
    if head.colour == PALETTE:
        pixels: Pixels = _expand_palette(samples, head.depth, one.get(b"PLTE", b""), one.get(b"tRNS", b""))
    elif b"tRNS" in one and head.colour in (GREY, RGB):
        pixels = _add_alpha(samples, head.depth, one[b"tRNS"])
    else:
        pixels = samples
    colour: Colour = "grey" if head.colour in (GREY, GREY_ALPHA) else "rgb"
    icc = _inflate_profile(one[b"iCCP"]) if b"iCCP" in one else None
    notes = _notes(head, one, trailing=chunks[-1].stop + 4 < len(data))
    return Decoded(pixels, colour, orientation(one.get(b"eXIf", b"")), icc, notes), PngRecipe()


def encode(pixels: Pixels, icc: bytes | None) -> bytes:
    """Encode pixels of any shape and depth that ``decode`` returns, without loss."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    colour = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}[channels]
    _, encoded = cv2.imencode(".png", _carrier(pixels, channels), [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    data = encoded.tobytes()
    head = Header(width, height, pixels.itemsize * 8, colour, interlaced=False)
    profile = chunk(b"iCCP", b"icc\0\0" + zlib.compress(icc)) if icc else b""
    return MAGIC + header(head) + profile + _image_data(data, list(walk(data))) + chunk(b"IEND", b"")


def _carrier(pixels: Pixels, channels: int) -> Pixels:
    """Dress pixels in a shape and an order that the codec knows, so that it writes the same bytes.

    It knows no grey with alpha. PNG filters bytes, not samples, so a pair of samples is carried as one of twice the
    depth, and a pair of 16 bits as four of 8.
    """
    if channels == 1:
        return pixels
    if channels == 2 and pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels).view(">u2")[..., 0].astype(np.uint16)
    if channels == 2:
        pixels, channels = np.ascontiguousarray(pixels).astype(">u2").view(np.uint8), 4
    return cast(Pixels, cv2.cvtColor(pixels, _SWAP[channels]))


def _image_data(data: bytes, chunks: Sequence[Chunk]) -> bytes:
    """Cut out the IDAT chunks, which must follow one another, and refuse critical chunks that nobody knows."""
    parts = [i for i, c in enumerate(chunks) if c.kind == b"IDAT"]
    if not parts or parts[-1] - parts[0] != len(parts) - 1:
        raise DamagedMedia("the picture in this PNG is missing or torn apart")
    kinds = [c.kind for c in chunks if c.kind[:1].isupper() and c.kind != b"IDAT"]
    if len(set(kinds)) != len(kinds) or not _CRITICAL.issuperset(kinds):
        raise DamagedMedia("this PNG has a critical chunk twice, or one that is not known")
    return data[chunks[parts[0]].start - 8 : chunks[parts[-1]].stop + 4]


def _check_inflated(data: bytes, chunks: Sequence[Chunk], expected: int) -> None:
    """Refuse a stream that does not inflate, whole and to its last byte, to what the header promises.

    Nothing is kept: neither a bomb nor a picture costs more than the window here.
    """
    stream = zlib.decompressobj()
    left = expected
    try:
        for part in _slices(data, chunks):
            while part and left >= 0:
                left -= len(stream.decompress(part, _WINDOW))
                part = stream.unconsumed_tail
        left -= len(stream.flush()) if left >= 0 else 0
    except zlib.error as error:
        raise DamagedMedia("the picture in this PNG does not inflate") from error
    if left or not stream.eof or stream.unused_data:
        raise DamagedMedia("the picture in this PNG is shorter or longer than its header says")


def _slices(data: bytes, chunks: Sequence[Chunk]) -> Iterator[bytes]:
    """Short pieces of the stream: zlib copies what it has not yet taken each time that its window is full."""
    for kind, start, stop in chunks:
        for at in range(start, stop, _SLICE) if kind == b"IDAT" else ():
            yield data[at : min(at + _SLICE, stop)]


def _inflate_profile(payload: bytes) -> bytes:
    """Inflate an iCCP chunk; empty where that fails or the profile is larger than any that is used."""
    name, _, rest = payload.partition(b"\0")
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""
    return profile if stream.eof and 1 <= len(name) <= 79 and rest[:1] == b"\0" else b""


def _samples(head: Header, image: bytes) -> Pixels:
    """Unfilter the samples; palette indices come as grey, depths below 8 are stretched to 8."""
    shown = head._replace(colour=GREY) if head.colour == PALETTE else head
    try:
        buffer = np.frombuffer(MAGIC + header(shown) + image + chunk(b"IEND", b""), np.uint8)
        samples = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DamagedMedia("this PNG cannot be decoded") from error
    if samples is None:
        raise DamagedMedia("this PNG cannot be decoded")
    if head.colour == GREY_ALPHA:
        samples = np.ascontiguousarray(samples[..., (0, 3)])
    elif samples.ndim == 3:
        samples = cv2.cvtColor(samples, _SWAP[samples.shape[2]])
    return cast(Pixels, samples)


def _stretch(depth: int) -> int:
    """How much one step of a sample of ``depth`` bits is after stretching to 8 bits."""
    return 255 // ((1 << depth) - 1) if depth < 8 else 1


def _expand_palette(samples: Pixels, depth: int, palette: bytes, alphas: bytes) -> Pixels:
    colours = len(palette) // 3
    indices = samples // _stretch(depth)
    if len(palette) != 3 * colours or len(alphas) > colours or int(indices.max()) >= colours:
        raise DamagedMedia("the palette of this PNG does not fit its picture")
    table = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    if alphas:
        table = np.column_stack((table, np.frombuffer(alphas.ljust(colours, b"\xff"), np.uint8)))
    return table[indices]


def _add_alpha(samples: Pixels, depth: int, key: bytes) -> Pixels:
    """Make the one colour that tRNS names transparent, as an alpha channel."""
    channels = 1 if samples.ndim == 2 else 3
    if len(key) != 2 * channels:
        raise DamagedMedia("the transparency of this PNG does not fit its picture")
    hidden = (np.frombuffer(key, ">u2") & ((1 << depth) - 1)) * _stretch(depth)
    planes = np.atleast_3d(samples)
    alpha = np.where((planes == hidden).all(-1), 0, np.iinfo(samples.dtype).max).astype(samples.dtype)
    return cast(Pixels, np.dstack((planes, alpha)))


def _notes(head: Header, one: dict[bytes, bytes], *, trailing: bool) -> tuple[Note, ...]:
    said = {
        Note.METADATA_DROPPED: not _NOT_METADATA.issuperset(one),
        Note.TRAILING_DATA_DROPPED: trailing,
        Note.PALETTE_EXPANDED: head.colour == PALETTE,
        Note.BIT_DEPTH_EXPANDED: head.colour == GREY and head.depth < 8,
        Note.GAMMA_DROPPED: b"gAMA" in one and not {b"sRGB", b"iCCP"} & one.keys(),
        Note.CICP_DROPPED: b"cICP" in one,
    }
    return tuple(note for note, true in said.items() if true)
