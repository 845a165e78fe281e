import io
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.media import png
from masking.media.image import Still, decode, encode
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=10_000_000, pixels=10_000_000, side=10_000)
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
HEAD_END = 33


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


def kinds(data: bytes) -> list[bytes]:
    position, found = 8, []
    while position < len(data):
        found.append(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4])
    return found


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_pixels_go_round_without_loss(make_png, data):
    channels, dtype = data.draw(st.sampled_from([1, 2, 3, 4])), data.draw(st.sampled_from([np.uint8, np.uint16]))
    side = st.integers(1, 9)
    shape = (data.draw(side), data.draw(side), channels)[: 2 + (channels > 1)]
    pixels = data.draw(arrays.arrays(dtype, shape))
    still = read(make_png(pixels, COLOURS[channels], interlace=data.draw(st.booleans())))
    np.testing.assert_array_equal(still.pixels, pixels)
    np.testing.assert_array_equal(read(encode(still, still.pixels)).pixels, pixels)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("interlace", [False, True])
def test_shallow_depths_are_stretched_to_eight_bits(make_png, make_picture, depth, interlace):
    stored = make_picture(1) % (1 << depth)
    still = read(make_png(stored, 0, depth=depth, interlace=interlace))
    np.testing.assert_array_equal(still.pixels, stored * (255 // ((1 << depth) - 1)))


@pytest.mark.parametrize(
    "mode", ["L", "LA", "RGB", "RGBA", "16 grey", "16 grey alpha", "16 RGB", "16 RGBA", "P", "1", "interlaced"]
)
def test_nothing_but_the_picture_is_written(samples, mode):
    still = read(samples[f"png {mode}"])
    out = encode(still, still.pixels)
    assert set(kinds(out)) == {b"IHDR", b"IDAT", b"IEND"}
    Image.open(io.BytesIO(out)).verify()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (b"tEXt", b"Comment\0MARKER"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"MARKER")),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0MARKER"),
        (b"eXIf", b"II*\0\x08\0\0\0\0\0MARKER"),
        (b"tIME", b"\x07\xe8\x01\x01\x00\x00\x00"),
        (b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\x01"),
        (b"prVt", b"MARKER"),
    ],
)
@pytest.mark.parametrize("where", ["before", "after", "behind"])
def test_metadata_is_gone(samples, make_chunk, kind, payload, where):
    plain = samples["png RGB"]
    at = {"before": HEAD_END, "after": len(plain) - 12, "behind": len(plain)}[where]
    still = read(plain[:at] + make_chunk(kind, payload) + plain[at:])
    assert still.notes == ("trailing_data_dropped" if where == "behind" else "metadata_dropped",)
    out = encode(still, still.pixels)
    assert set(kinds(out)) == {b"IHDR", b"IDAT", b"IEND"}
    assert b"MARKER" not in out
    np.testing.assert_array_equal(still.pixels, read(plain).pixels)


@pytest.mark.parametrize(
    ("chunks", "notes"),
    [
        ([(b"gAMA", b"\0\0\xb1\x8f")], ("gamma_dropped",)),
        ([(b"gAMA", b"\0\0\xb1\x8f"), (b"sRGB", b"\0")], ()),
        ([(b"sRGB", b"\0"), (b"cHRM", b"\0" * 32)], ()),
        ([(b"cICP", b"\x09\x10\0\x01")], ("cicp_dropped",)),
    ],
)
def test_hints_on_colour_are_noted_where_they_change_what_is_seen(make_png, make_picture, chunks, notes):
    assert read(make_png(make_picture(3), 2, before=chunks)).notes == notes


def test_the_palette_gives_the_colours_that_another_reader_sees(samples):
    shown = np.asarray(Image.open(io.BytesIO(samples["png P transparent"])).convert("RGBA"))
    np.testing.assert_array_equal(read(samples["png P transparent"]).pixels, shown)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [(b"PLTE", b"\1\2\3" * 15)],
        [(b"PLTE", b"\1\2\3" * 16 + b"\4")],
        [(b"PLTE", b"\1\2\3" * 16), (b"tRNS", b"\0" * 17)],
        [(b"PLTE", b"\1\2\3" * 16), (b"PLTE", b"\1\2\3" * 16)],
    ],
    ids=["none", "short", "torn", "alpha", "twice"],
)
def test_a_palette_that_does_not_fit_is_damage(make_png, make_picture, chunks):
    pixels = make_picture(1) % 16
    assert pixels.max() == 15
    with pytest.raises(DamagedMedia):
        read(make_png(pixels, 3, depth=4, before=chunks))


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 999])
def test_more_scan_lines_than_the_header_promises_are_damage(make_png, make_picture, tail):
    with pytest.raises(DamagedMedia, match="shorter or longer"):
        read(make_png(make_picture(3), 2, tail=tail))


def replaced(data: bytes, chunk: bytes) -> bytes:
    """The same header and end with other image data between."""
    return data[:HEAD_END] + chunk + data[-12:]


@pytest.mark.parametrize(
    "harm",
    [
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw[:-1])),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw) + b"\0"),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw)[:-1]),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw)[:-4] + b"\0\0\0\0"),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw)[:-9]) + chunk(b"tEXt", b"") + chunk(b"IDAT", b""),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(b"\x07" + raw[1:])),
        lambda raw, chunk: chunk(b"IDAT", zlib.compress(raw)) + chunk(b"ABCD", b""),
        lambda raw, chunk: chunk(b"tEXt", b"") * 70_000 + chunk(b"IDAT", zlib.compress(raw)),
        lambda raw, chunk: b"",
    ],
    ids=["short", "long", "cut", "checksum", "torn", "filter", "critical", "flood", "none"],
)
def test_damage_is_refused_also_where_decoders_only_warn(samples, make_chunk, make_picture, harm):
    raw = b"".join(b"\0" + row.tobytes() for row in make_picture(3))
    whole = replaced(samples["png RGB"], make_chunk(b"IDAT", zlib.compress(raw)))
    assert read(whole).pixels.shape == (26, 43, 3)
    with pytest.raises(DamagedMedia):
        read(replaced(whole, harm(raw, make_chunk)))


def test_every_checksum_counts(samples, make_chunk):
    plain = samples["png RGB"]
    text = bytearray(make_chunk(b"tEXt", b"Comment\0nothing"))
    text[-1] ^= 1
    with pytest.raises(DamagedMedia):
        read(plain[:HEAD_END] + bytes(text) + plain[HEAD_END:])


@pytest.mark.parametrize("kind", [b"IDAT", b"zTXt", b"iCCP"])
def test_a_bomb_costs_no_memory(samples, make_chunk, kind):
    bomb = zlib.compress(bytes(60_000_000))
    plain = samples["png RGB"]
    if kind == b"IDAT":
        data = replaced(plain, make_chunk(kind, bomb))
    else:
        data = plain[:HEAD_END] + make_chunk(kind, b"name\0\0" + bomb) + plain[HEAD_END:]
    tracemalloc.start()
    try:
        read(data)
    except DamagedMedia:
        assert kind == b"IDAT"
    else:
        assert kind != b"IDAT"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000


def test_an_animation_is_refused_even_if_it_has_one_frame(samples, make_chunk):
    plain = samples["png RGB"]
    with pytest.raises(UnsupportedMedia, match="animations"):
        read(plain[:HEAD_END] + make_chunk(b"acTL", b"\0\0\0\1\0\0\0\0") + plain[HEAD_END:])


def test_a_profile_is_embedded_as_given(make_picture):
    out = png.encode(make_picture(2, np.uint16), b"a profile")
    assert kinds(out)[:3] == [b"IHDR", b"iCCP", b"IDAT"]
    assert Image.open(io.BytesIO(out)).info["icc_profile"] == b"a profile"
