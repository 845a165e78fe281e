"""How the samples of a frame lie in memory: the planar formats that are painted natively, and the way to them."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from av import VideoFrame as Picture
from av.video.format import VideoFormat


@dataclass(frozen=True, slots=True)
class Layout:
    """A planar format.

    Attributes:
        name: FFmpeg's name of the pixel format.
        bits: bits of a sample, 8 (in uint8) or 10 (in uint16).
        across: luma columns per chroma sample; 0 where the picture is grey and has no chroma.
        down: luma rows per chroma sample; 0 where there is none.
        full: whether samples span their full range by the format alone; the scaler takes all grey so.
    """

    name: str
    bits: int
    across: int
    down: int
    full: bool = False

    @property
    def is_grey(self) -> bool:
        """Whether there is luma only."""
        return self.across == 0


NATIVE: Final = {
    layout.name: layout
    for layout in (
        Layout("yuv420p", 8, 2, 2),
        Layout("yuv422p", 8, 2, 1),
        Layout("yuv444p", 8, 1, 1),
        Layout("yuvj420p", 8, 2, 2, full=True),
        Layout("yuvj422p", 8, 2, 1, full=True),
        Layout("yuvj444p", 8, 1, 1, full=True),
        Layout("yuv420p10le", 10, 2, 2),
        Layout("yuv422p10le", 10, 2, 1),
        Layout("yuv444p10le", 10, 1, 1),
        Layout("gray", 8, 0, 0, full=True),
        Layout("gray10le", 10, 0, 0, full=True),
    )
}

_FAMILY: Final = {(2, 2): "yuv420p", (2, 1): "yuv422p", (1, 1): "yuv444p"}


@cache
def native(name: str) -> Layout:
    """Find the native layout that keeps most of pixel format ``name``: itself, or what it is converted to."""
    if name in NATIVE:
        return NATIVE[name]
    source = VideoFormat(name, 64, 64)
    deep = "10le" if max(component.bits for component in source.components) > 8 else ""
    if len(source.components) <= 2 and not source.is_rgb and not source.has_palette:
        return NATIVE["gray" + deep]
    subsampling = (64 // source.chroma_width(), 64 // source.chroma_height())
    if source.is_rgb or source.has_palette:
        subsampling = (1, 1)
    return NATIVE[_FAMILY.get(subsampling, "yuv444p") + deep]


def is_rgb(name: str) -> bool:
    """Tell whether pixel format ``name`` holds red, green and blue, directly or by a palette."""
    source = VideoFormat(name, 64, 64)
    return source.is_rgb or source.has_palette


def nearest(layout: Layout, offered: tuple[str, ...]) -> Layout:
    """Choose among the pixel formats that an encoder offers the one that loses least of ``layout``."""
    same = [NATIVE[name] for name in offered if name in NATIVE]

    def loss(other: Layout) -> tuple[int, ...]:
        return (
            int(other.is_grey and not layout.is_grey),
            max(0, other.across - max(1, layout.across)) + max(0, other.down - max(1, layout.down)),
            max(0, layout.bits - other.bits),
            int(other.full != layout.full),
            abs(other.across - layout.across) + abs(other.down - layout.down),
            abs(other.bits - layout.bits),
        )

    return min(same, key=loss)


def empty_like(picture: Picture, name: str, size: tuple[int, int] | None = None) -> Picture:
    """Make a picture of the time and colours of ``picture``, and of its size unless given; no sample is set yet."""
    made = Picture(*(size or (picture.width, picture.height)), name)
    made.pts, made.duration, made.time_base = picture.pts, picture.duration, picture.time_base
    made.colorspace, made.color_range = picture.colorspace, picture.color_range
    made.color_primaries, made.color_trc = picture.color_primaries, picture.color_trc
    return made
