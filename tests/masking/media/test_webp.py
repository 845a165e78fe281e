import io
import struct

import numpy as np
import pytest
from PIL import Image

from masking.errors import DamagedMedia, MediaTooLarge, UnsupportedMedia
from masking.media.image import Still, decode, encode
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=10_000_000, pixels=10_000_000, side=10_000)
NAMES = ["webp lossy", "webp lossy alpha", "webp lossless", "webp lossless alpha"]


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    position, found = 12, []
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position + 4)
        found.append((data[position : position + 4], data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return found


def assemble(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(p)) + p + b"\0" * (len(p) % 2) for k, p in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extended(data: bytes, *extra: tuple[bytes, bytes], flags: int = 0, width: int = 43, height: int = 26) -> bytes:
    """The same picture in the extended format, with further chunks behind it."""
    canvas = bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return assemble([(b"VP8X", canvas), *(part for part in chunks(data) if part[0] != b"VP8X"), *extra])


@pytest.mark.parametrize("name", NAMES)
def test_lossless_stays_lossless_and_lossy_stays_lossy(samples, name):
    still = read(samples[name])
    written = {kind for kind, _ in chunks(encode(still, still.pixels))}
    assert (b"VP8L" in written) == ("lossless" in name)


def test_colours_under_full_transparency_go_round_where_nothing_may_be_lost(samples):
    still = read(samples["webp lossless alpha"])
    pixels = still.pixels.copy()
    pixels[:9, :, 3] = 0
    np.testing.assert_array_equal(read(encode(still, pixels)).pixels, pixels)


def test_lossy_quality_is_good(save, hopper):
    with Image.open(io.BytesIO(hopper)) as image:
        still = read(save(image.resize((256, 300)), "WEBP", quality=80))
    again = read(encode(still, still.pixels))
    error = np.mean((again.pixels.astype(float) - still.pixels) ** 2)
    assert 10 * np.log10(255**2 / error) > 38


@pytest.mark.parametrize(
    "planted", [(b"EXIF", b"II*\0\x08\0\0\0\0\0MARKER"), (b"XMP ", b"<x>MARKER</x>"), (b"prIv", b"MARKER")]
)
@pytest.mark.parametrize("name", NAMES)
def test_metadata_is_gone(samples, name, planted):
    still = read(extended(samples[name], planted, flags=0x10 if "alpha" in name else 0))
    assert still.notes == ("metadata_dropped",)
    np.testing.assert_array_equal(still.pixels, read(samples[name]).pixels)
    out = encode(still, still.pixels)
    assert b"MARKER" not in out
    assert {kind for kind, _ in chunks(out)} <= {b"VP8X", b"ALPH", b"VP8 ", b"VP8L"}


def test_what_follows_the_end_is_gone(samples):
    still = read(samples["webp lossy"] + b"MARKER")
    assert still.notes == ("trailing_data_dropped",)
    assert b"MARKER" not in encode(still, still.pixels)


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d[:4] + struct.pack("<I", len(d) - 7) + d[8:],
        lambda d: d[:4] + struct.pack("<I", len(d) - 12) + d[8:],
        lambda d: d[:16] + struct.pack("<I", len(d)) + d[20:],
        lambda d: assemble([(b"VP8 ", chunks(d)[0][1][:-60])]),
        lambda d: assemble(chunks(d) * 2),
        lambda d: assemble([*chunks(d), *[(b"JUNK", b"")] * 20_000]),
        lambda d: extended(d, width=44),
        lambda d: assemble([(b"VP8X", b"\0" * 10)]),
        lambda d: assemble([(b"VP8L", chunks(d)[0][1])]),
        lambda d: assemble([(b"ALPH", b"\0"), *chunks(d)]),
    ],
    ids=["past the end", "short form", "long chunk", "cut", "twice", "flood", "canvas", "empty", "kind", "order"],
)
def test_damage_is_refused(samples, harm):
    with pytest.raises(DamagedMedia):
        read(harm(samples["webp lossy"]))


def test_an_animation_that_its_header_denies_is_refused(samples):
    with pytest.raises(UnsupportedMedia, match="animations"):
        read(extended(samples["webp lossy"], (b"ANMF", b"\0" * 16)))


def test_the_canvas_counts_before_anything_is_decoded(samples):
    with pytest.raises(MediaTooLarge):
        read(extended(samples["webp lossy"], width=16_000, height=16_000))
