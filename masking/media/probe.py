"""What a file is, by its content and its header alone, before anything of it is decoded."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from masking.errors import EmptyMedia, MediaTooLarge, UnsupportedMedia
from masking.media import jpeg, png, png_chunks, webp


class ImageKind(StrEnum):
    """The kinds of picture that are masked."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """The media type as HTTP names it."""
        return f"image/{self.value}"


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The largest picture that is taken: bytes of the file, width times height, and the longer side in pixels."""

    bytes: int
    pixels: int
    side: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What the header tells: the kind, and width and height in pixels as stored, before any orientation is applied."""

    kind: ImageKind
    width: int
    height: int


_READ_SIZE: Final = {ImageKind.JPEG: jpeg.read_size, ImageKind.PNG: png.read_size, ImageKind.WEBP: webp.read_size}
_IS_ANIMATED: Final = {ImageKind.PNG: png.is_animated, ImageKind.WEBP: webp.is_animated}


def probe(data: bytes, limits: ImageLimits) -> Probe:
    """Tell what ``data`` is, and refuse what cannot or may not be masked, at the cost of reading a header.

    Raises:
        EmptyMedia: no bytes.
        UnsupportedMedia: not JPEG, PNG or WebP, or an animation, or a rare kind of JPEG.
        MediaTooLarge: more bytes, pixels or a longer side than ``limits`` allow.
        DamagedMedia: the header is truncated or corrupt.
    """
    if not data:
        raise EmptyMedia("there are no bytes")
    if len(data) > limits.bytes:
        raise MediaTooLarge(f"the file has more than {limits.bytes} bytes")
    kind = _kind(data)
    width, height = _READ_SIZE[kind](data)
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise MediaTooLarge(
            f"a picture of {width} x {height} pixels is larger than {limits.pixels} pixels or {limits.side} on a side"
        )
    if kind in _IS_ANIMATED and _IS_ANIMATED[kind](data):
        raise UnsupportedMedia("animations are not masked here, only single pictures")
    return Probe(kind, width, height)


def sniff_image(head: bytes) -> bool:
    """Tell whether a file that begins with ``head`` (some 64 bytes) is a picture of a kind that is masked here."""
    return _sniffed(head) is not None


def _kind(data: bytes) -> ImageKind:
    kind = _sniffed(data)
    if kind is None:
        raise UnsupportedMedia("only JPEG, PNG and WebP pictures are masked here")
    return kind


def _sniffed(data: bytes) -> ImageKind | None:
    if data.startswith(jpeg.MAGIC):
        return ImageKind.JPEG
    if data.startswith(png_chunks.MAGIC):
        return ImageKind.PNG
    return ImageKind.WEBP if webp.sniff(data) else None
