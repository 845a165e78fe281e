"""WebP (RFC 9649): strict decoding, and encoding lossless where the original was."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import cv2
import numpy as np
from PIL import Image

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.media.decoded import Decoded, Note
from masking.media.exif import orientation
from masking.media.icc import MAX_PROFILE_BYTES
from masking.types import Pixels

_FORM_END: Final = 12
_ANIMATION_FLAG: Final = 0x02
_ALPHA_FLAG: Final = 0x10
_MAX_CHUNKS: Final = 10_000
_NOT_METADATA: Final = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"})

# Effort of the encoder: more of it takes two to seven times as long for a tenth less.
_LOSSY: Final = {"quality": 90, "method": 2}
_LOSSLESS: Final = {"lossless": True, "exact": True, "quality": 20, "method": 0}


class _Chunk(NamedTuple):
    kind: bytes
    payload: memoryview


@dataclass(frozen=True, slots=True)
class WebpRecipe:
    """How the original was encoded: without loss (VP8L) or with (VP8)."""

    lossless: bool


def sniff(data: bytes) -> bool:
    """Tell by its first bytes whether this is WebP."""
    return data[:4] == b"RIFF" and data[8:_FORM_END] == b"WEBP"


def read_size(data: bytes) -> tuple[int, int]:
    """Read width and height of the canvas, from the first chunk alone.

    Raises:
        DamagedMedia: the first chunk is not what WebP begins with.
    """
    return _size(data[12:16], memoryview(data)[20:30])


def is_animated(data: bytes) -> bool:
    """Tell whether the header declares an animation."""
    return data[12:16] == b"VP8X" and bool(data[20] & _ANIMATION_FLAG)


def decode(data: bytes) -> tuple[Decoded, WebpRecipe]:
    """Decode: (h, w, 3) RGB or (h, w, 4) RGBA, uint8.

    Raises:
        DamagedMedia: truncated or corrupt.
        UnsupportedMedia: animated.
    """
    chunks = list(_walk(data))
    found = {chunk.kind: chunk.payload for chunk in reversed(chunks)}
    if found.keys() & {b"ANIM", b"ANMF"}:
        raise UnsupportedMedia("animations are not masked here")
    pictures = [chunk for chunk in chunks if chunk.kind in (b"VP8 ", b"VP8L")]
    if len(pictures) != 1 or _size(*pictures[0]) != read_size(data):
        raise DamagedMedia("this WebP does not hold exactly one picture of the size that it declares")
    lossless = pictures[0].kind == b"VP8L"
    alpha = found.get(b"ALPH") if b"VP8X" in found and not lossless else None
    pixels = _decode_bare(_bare(pictures[0], alpha, read_size(data)))
    icc = bytes(found[b"ICCP"]) if b"ICCP" in found else None
    if icc is not None and len(icc) > MAX_PROFILE_BYTES:
        icc = b""
    notes = []
    if not _NOT_METADATA.issuperset(found):
        notes.append(Note.METADATA_DROPPED)
    if _end(data) < len(data):
        notes.append(Note.TRAILING_DATA_DROPPED)
    turn = orientation(bytes(found.get(b"EXIF", b"")))
    return Decoded(pixels, "rgb", turn, icc, tuple(notes)), WebpRecipe(lossless)


def encode(pixels: Pixels, recipe: WebpRecipe, icc: bytes | None) -> bytes:
    """Encode RGB (h, w, 3) or RGBA (h, w, 4) uint8 pixels; an alpha channel that hides nothing is not stored."""
    out = io.BytesIO()
    options = _LOSSLESS if recipe.lossless else _LOSSY
    Image.fromarray(pixels).save(out, "WEBP", icc_profile=icc, **options)
    return out.getvalue()


def _end(data: bytes) -> int:
    """Where the RIFF form ends by its own word."""
    return 8 + int(struct.unpack_from("<I", data, 4)[0])


def _walk(data: bytes) -> Iterator[_Chunk]:
    """Walk the chunks of the form.

    Raises:
        DamagedMedia: the form leaves the file, or a chunk leaves the form.
    """
    end = _end(data)
    if end > len(data):
        raise DamagedMedia("this WebP is truncated")
    view = memoryview(data)
    position = _FORM_END
    for _ in range(_MAX_CHUNKS):
        if position == end:
            return
        if position + 8 > end:
            break
        (length,) = struct.unpack_from("<I", data, position + 4)
        stop = position + 8 + length
        yield _Chunk(data[position : position + 4], view[position + 8 : min(stop, end)])
        position = stop + length % 2
    raise DamagedMedia("the chunks of this WebP do not fill it exactly")


def _size(kind: bytes, payload: memoryview) -> tuple[int, int]:
    """Width and height by the header of a VP8, VP8L or VP8X chunk (RFC 9649, sections 2.5 to 2.7; RFC 6386, 9.1)."""
    if kind == b"VP8X" and len(payload) >= 10:
        return 1 + int.from_bytes(payload[4:7], "little"), 1 + int.from_bytes(payload[7:10], "little")
    if kind == b"VP8L" and len(payload) >= 5 and payload[0] == 0x2F:
        bits = int.from_bytes(payload[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(payload) >= 10 and not payload[0] & 1 and bytes(payload[3:6]) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", payload, 6)
        if width & 0x3FFF and height & 0x3FFF:
            return width & 0x3FFF, height & 0x3FFF
    raise DamagedMedia("this WebP has no readable header")


def _bare(picture: _Chunk, alpha: memoryview | None, size: tuple[int, int]) -> bytes:
    """The same picture with nothing in it that does not shape a pixel: the decoder sees no more than it must."""
    body = _riff(picture.kind, picture.payload)
    if alpha is not None:
        canvas = bytes((_ALPHA_FLAG, 0, 0, 0)) + b"".join((side - 1).to_bytes(3, "little") for side in size)
        body = _riff(b"VP8X", canvas) + _riff(b"ALPH", alpha) + body
    return _riff(b"RIFF", b"WEBP" + body)


def _riff(kind: bytes, payload: bytes | memoryview) -> bytes:
    return b"".join((kind, struct.pack("<I", len(payload)), payload, b"\0" * (len(payload) % 2)))


def _decode_bare(data: bytes) -> Pixels:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DamagedMedia("this WebP cannot be decoded") from error
    if pixels is None:
        raise DamagedMedia("this WebP cannot be decoded")
    return cast(Pixels, cv2.cvtColor(pixels, {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[pixels.shape[2]]))
