"""Small pictures of every kind and mode, made here, each with the pixels that it must decode to where that is exact."""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 26, 43
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def picture(channels: int, dtype: Any = np.uint8) -> NDArray[Any]:
    """A slanted ramp with a light square in one corner, so that no turn of it equals another; alpha never flat."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = np.stack([(x * (3 - c % 3) + y * (1 + c)) % 256 for c in range(channels)], axis=-1).astype(np.uint32)
    planes[2:8, 3:11] = 250
    if dtype == np.uint16:
        planes = planes * 257 - planes // 2
    return planes.astype(dtype) if channels > 1 else planes[..., 0].astype(dtype)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def ihdr(width: int, height: int, depth: int, colour: int, interlace: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def write_png(
    pixels: NDArray[Any],
    colour: int,
    *,
    depth: int | None = None,
    interlace: bool = False,
    before: Iterable[tuple[bytes, bytes]] = (),
    tail: bytes = b"",
) -> bytes:
    """Write samples as a PNG without filters: what Pillow cannot write, and chunks of our own before the picture.

    ``tail`` is added to the inflated scan lines.
    """
    height, width = pixels.shape[:2]
    depth = depth or pixels.itemsize * 8
    lines = []
    for x, y, dx, dy in _ADAM7 if interlace else ((0, 0, 1, 1),):
        part = pixels[y::dy, x::dx]
        for row in part.reshape(len(part), -1) if part.size else ():
            if depth < 8:
                bits = np.unpackbits(row[:, None].astype(np.uint8), axis=1)[:, 8 - depth :]
                lines.append(b"\0" + np.packbits(bits.ravel()).tobytes())
            else:
                lines.append(b"\0" + row.astype(f">u{depth // 8}").tobytes())
    body = b"".join(chunk(kind, payload) for kind, payload in before)
    data = zlib.compress(b"".join(lines) + tail)
    # Two chunks, as encoders cut the picture wherever they like.
    body += chunk(b"IDAT", data[:20]) + chunk(b"IDAT", data[20:])
    return ihdr(width, height, depth, colour, int(interlace)) + body + chunk(b"IEND", b"")


def _png(mode: str, **options: Any) -> bytes:
    rgba = Image.fromarray(picture(4))
    return saved(rgba.convert(mode), "PNG", **options)


def _palette(**options: Any) -> bytes:
    return saved(Image.fromarray(picture(3)).quantize(17), "PNG", **options)


def _jpeg(**options: Any) -> bytes:
    return saved(Image.fromarray(picture(3)), "JPEG", **{"quality": 92, **options})


def _samples() -> dict[str, bytes]:
    palette = bytes(range(48))
    return {
        "jpeg grey": saved(Image.fromarray(picture(1)), "JPEG", quality=92),
        "jpeg 4:4:4": _jpeg(subsampling=0),
        "jpeg 4:2:2": _jpeg(subsampling=1),
        "jpeg 4:2:0": _jpeg(subsampling=2),
        "jpeg progressive": _jpeg(progressive=True),
        "jpeg rgb": _jpeg(keep_rgb=True),
        "jpeg cmyk": saved(Image.fromarray(picture(3)).convert("CMYK"), "JPEG", quality=92),
        "png 1": _png("1"),
        "png L": _png("L"),
        "png LA": _png("LA"),
        "png RGB": _png("RGB"),
        "png RGBA": _png("RGBA"),
        "png P": _palette(),
        "png P transparent": _palette(transparency=bytes(range(0, 170, 10))),
        "png 4-bit palette": write_png(picture(1) % 16, 3, depth=4, before=[(b"PLTE", palette)]),
        "png 2-bit grey": write_png(picture(1) % 4, 0, depth=2),
        "png grey key": write_png(picture(1), 0, before=[(b"tRNS", b"\0\xfa")]),
        "png RGB key": write_png(picture(3), 2, before=[(b"tRNS", b"\0\xfa" * 3)]),
        "png 16 grey": write_png(picture(1, np.uint16), 0),
        "png 16 grey alpha": write_png(picture(2, np.uint16), 4),
        "png 16 RGB": write_png(picture(3, np.uint16), 2),
        "png 16 RGBA": write_png(picture(4, np.uint16), 6),
        "png interlaced": write_png(picture(3), 2, interlace=True),
        "png interlaced 1-bit": write_png(picture(1) % 2, 0, depth=1, interlace=True),
        "webp lossy": saved(Image.fromarray(picture(3)), "WEBP", quality=95),
        "webp lossy alpha": saved(Image.fromarray(picture(4)), "WEBP", quality=95),
        "webp lossless": saved(Image.fromarray(picture(3)), "WEBP", lossless=True),
        "webp lossless alpha": saved(Image.fromarray(picture(4)), "WEBP", lossless=True, exact=True),
    }


@pytest.fixture(scope="session")
def samples() -> dict[str, bytes]:
    """One file for each name."""
    return _samples()


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., NDArray[Any]]:
    return picture


@pytest.fixture(scope="session")
def make_png() -> Callable[..., bytes]:
    return write_png


@pytest.fixture(scope="session")
def make_chunk() -> Callable[[bytes, bytes], bytes]:
    return chunk


@pytest.fixture(scope="session")
def make_ihdr() -> Callable[..., bytes]:
    return ihdr


@pytest.fixture(scope="session")
def save() -> Callable[..., bytes]:
    return saved
