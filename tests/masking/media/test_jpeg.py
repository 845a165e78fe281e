import io
import struct

import numpy as np
import pytest
from PIL import Image

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.media.image import Still, decode, encode
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=10_000_000, pixels=10_000_000, side=10_000)


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def layout(data: bytes) -> tuple[object, ...]:
    image = Image.open(io.BytesIO(data))
    return image.mode, bool(image.info.get("progressive")), image.layer, image.quantization


@pytest.mark.parametrize("quality", [15, 75, 100])
@pytest.mark.parametrize(
    "name",
    ["jpeg grey", "jpeg 4:4:4", "jpeg 4:2:2", "jpeg 4:2:0", "jpeg progressive", "jpeg rgb"],
)
def test_tables_sampling_and_scan_order_are_those_of_the_original(samples, save, name, quality):
    source = Image.open(io.BytesIO(samples[name]))
    options = {"progressive": name == "jpeg progressive", "keep_rgb": name == "jpeg rgb"}
    subsampling = {"jpeg 4:2:2": 1, "jpeg 4:2:0": 2, "jpeg progressive": 2}.get(name, 0)
    data = save(source, "JPEG", quality=quality, subsampling=subsampling, **options)
    still = read(data)
    assert layout(encode(still, still.pixels)) == layout(data)


@pytest.mark.parametrize("tables", [[[3] * 64], [[9] * 64, [5] * 64, [7] * 64], [list(range(1, 65)), [300] * 64]])
def test_tables_of_any_number_and_width_are_kept(save, make_picture, tables):
    data = save(Image.fromarray(make_picture(3)), "JPEG", qtables=tables, subsampling=0)
    still = read(data)
    assert layout(encode(still, still.pixels)) == layout(data)


def test_a_second_round_changes_next_to_nothing(samples):
    still = read(samples["jpeg 4:4:4"])
    again = read(encode(still, still.pixels))
    assert np.abs(again.pixels.astype(int) - still.pixels).max() <= 4


@pytest.mark.parametrize(("turn", "written"), [(1, (2, 1)), (3, (2, 1)), (6, (1, 1)), (8, (1, 1))])
def test_chroma_of_a_picture_turned_on_its_side_is_not_halved_twice(save, make_picture, turn, written):
    exif = Image.Exif()
    exif[0x0112] = turn
    still = read(save(Image.fromarray(make_picture(3)), "JPEG", subsampling=1, exif=exif))
    assert Image.open(io.BytesIO(encode(still, still.pixels))).layer[0][1:3] == written


def test_noise_with_the_finest_tables_is_encoded_even_where_progressive_is_too_large(save):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    still = read(save(Image.fromarray(noise[:50, :50]), "JPEG", quality=100, subsampling=0, progressive=True))
    large = Still(still.kind, noise, (), None, still.recipe)
    assert np.abs(read(encode(large, noise)).pixels.astype(int) - noise).mean() < 2


def test_cmyk_becomes_rgb_of_the_same_colours(samples):
    shown = np.asarray(Image.open(io.BytesIO(samples["jpeg cmyk"])).convert("RGB"))
    still = read(samples["jpeg cmyk"])
    np.testing.assert_array_equal(still.pixels, shown)
    assert layout(encode(still, still.pixels))[0] == "RGB"


@pytest.mark.parametrize(
    ("planted", "note"),
    [
        (segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0MARKER"), "metadata_dropped"),
        (segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>MARKER</x>"), "metadata_dropped"),
        (segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0bMARKER"), "metadata_dropped"),
        (segment(0xFE, b"MARKER"), "metadata_dropped"),
        (segment(0xE0, b"JFXX\0\x10\xff\xd8MARKER\xff\xd9"), "metadata_dropped"),
        (segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x01MARKER"), "metadata_dropped"),
        (segment(0xEB, b"JP\0MARKER"), "metadata_dropped"),
    ],
    ids=["exif", "xmp", "iptc", "comment", "jfxx thumbnail", "jfif thumbnail", "c2pa"],
)
@pytest.mark.parametrize("name", ["jpeg 4:2:0", "jpeg progressive", "jpeg grey"])
def test_metadata_is_gone(samples, name, planted, note):
    data = samples[name][:20] + planted + samples[name][20:]
    still = read(data)
    assert still.notes == (note,)
    np.testing.assert_array_equal(still.pixels, read(samples[name]).pixels)
    out = encode(still, still.pixels)
    assert b"MARKER" in data
    assert b"MARKER" not in out
    assert out == encode(still, read(samples[name]).pixels)


def test_the_thumbnail_in_exif_is_gone(samples, save, make_picture):
    thumbnail = save(Image.fromarray(make_picture(3)[:8, :8]), "JPEG", comment=b"THUMBNAIL")
    exif = Image.Exif()
    exif[0x010E] = "a description"
    data = save(Image.open(io.BytesIO(samples["jpeg 4:2:0"])), "JPEG", exif=exif.tobytes() + thumbnail)
    still = read(data)
    out = encode(still, still.pixels)
    assert b"THUMBNAIL" in data
    assert b"THUMBNAIL" not in out
    assert out.count(b"\xff\xd8") == 1


def test_what_follows_the_end_is_gone(samples):
    still = read(samples["jpeg 4:2:0"] + b"MARKER")
    assert still.notes == ("trailing_data_dropped",)
    assert b"MARKER" not in encode(still, still.pixels)


def test_further_pictures_are_gone(save, make_picture):
    first, second = Image.fromarray(make_picture(3)), Image.fromarray(make_picture(3)[::-1])
    data = save(first, "MPO", save_all=True, append_images=[second])
    still = read(data)
    assert "extra_pictures_dropped" in still.notes
    out = encode(still, still.pixels)
    assert (data.count(b"\xff\xd8\xff"), out.count(b"\xff\xd8\xff")) == (2, 1)


def first_scan(data: bytes) -> int:
    return data.index(b"\xff\xda")


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d[:-2],
        lambda d: d[: len(d) * 3 // 4] + b"\xff\xd9",
        lambda d: d[:-40] + b"\xff\xd9",
        lambda d: d[:20] + b"\0\0" + d[20:],
        lambda d: d[: first_scan(d)] + d[-2:],
        lambda d: d[: first_scan(d)] + b"\xff\xd0" + d[first_scan(d) :],
        lambda d: d[:2] + segment(0xFE, b"") * 20_000 + d[2:],
        lambda d: d.replace(b"\xff\xdb", b"\xff\xfe"),
    ],
    ids=["no end", "three quarters", "last bytes", "stray", "no scan", "restart", "flood", "no tables"],
)
def test_damage_is_refused_also_where_decoders_only_warn(samples, harm):
    with pytest.raises(DamagedMedia) as caught:
        read(harm(samples["jpeg 4:2:0"]))
    assert isinstance(caught.value.args[0], str)


def test_a_flood_of_scans_is_refused(samples):
    data = samples["jpeg progressive"]
    last = data.rindex(b"\xff\xda")
    with pytest.raises(DamagedMedia, match="scans"):
        read(data[:-2] + data[last:-2] * 200 + data[-2:])


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC9, 0xCB, 0xCF])
def test_rare_kinds_of_jpeg_are_refused(samples, frame):
    with pytest.raises(UnsupportedMedia):
        read(samples["jpeg 4:2:0"].replace(b"\xff\xc0", bytes((0xFF, frame))))
