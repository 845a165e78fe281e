import concurrent.futures
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from masking.errors import DamagedMedia, MediaError, UnsupportedMedia
from masking.media.image import Still, decode, encode, views
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=50_000_000, pixels=100_000_000, side=30_000)
HEIGHT, WIDTH = 26, 43

# Name of the sample: channels, depth, is it lossless, notes.
KINDS = {
    "jpeg grey": (1, np.uint8, False, ()),
    "jpeg 4:4:4": (3, np.uint8, False, ()),
    "jpeg 4:2:2": (3, np.uint8, False, ()),
    "jpeg 4:2:0": (3, np.uint8, False, ()),
    "jpeg progressive": (3, np.uint8, False, ()),
    "jpeg rgb": (3, np.uint8, False, ()),
    "jpeg cmyk": (3, np.uint8, False, ("cmyk_converted_to_srgb",)),
    "png 1": (1, np.uint8, True, ("bit_depth_expanded",)),
    "png L": (1, np.uint8, True, ()),
    "png LA": (2, np.uint8, True, ()),
    "png RGB": (3, np.uint8, True, ()),
    "png RGBA": (4, np.uint8, True, ()),
    "png P": (3, np.uint8, True, ("palette_expanded",)),
    "png P transparent": (4, np.uint8, True, ("palette_expanded",)),
    "png 4-bit palette": (3, np.uint8, True, ("palette_expanded",)),
    "png 2-bit grey": (1, np.uint8, True, ("bit_depth_expanded",)),
    "png grey key": (2, np.uint8, True, ()),
    "png RGB key": (4, np.uint8, True, ()),
    "png 16 grey": (1, np.uint16, True, ()),
    "png 16 grey alpha": (2, np.uint16, True, ()),
    "png 16 RGB": (3, np.uint16, True, ()),
    "png 16 RGBA": (4, np.uint16, True, ()),
    "png interlaced": (3, np.uint8, True, ()),
    "png interlaced 1-bit": (1, np.uint8, True, ("bit_depth_expanded",)),
    "webp lossy": (3, np.uint8, False, ()),
    "webp lossy alpha": (4, np.uint8, False, ()),
    "webp lossless": (3, np.uint8, True, ()),
    "webp lossless alpha": (4, np.uint8, True, ()),
}


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_goes_round_with_its_kind_shape_and_depth(samples, name):
    channels, depth, lossless, notes = KINDS[name]
    still = read(samples[name])
    assert still.pixels.shape == ((HEIGHT, WIDTH) if channels == 1 else (HEIGHT, WIDTH, channels))
    assert still.pixels.dtype == depth
    assert still.notes == notes
    out = encode(still, still.pixels)
    again = read(out)
    assert again.kind == still.kind == name.split()[0]
    assert (again.pixels.shape, again.pixels.dtype, again.notes) == (still.pixels.shape, depth, ())
    difference = np.abs(again.pixels.astype(int) - still.pixels.astype(int))
    assert difference.max() == 0 if lossless else difference.mean() < 3


@pytest.mark.parametrize("name", [name for name in KINDS if "16" not in name and name != "jpeg cmyk"])
def test_pixels_are_those_that_another_reader_sees(samples, name):
    shown = np.asarray(Image.open(io.BytesIO(samples[name])).convert("RGBA"))
    colour = views(read(samples[name]).pixels)[0]
    np.testing.assert_array_equal(colour, shown[..., :3])


@pytest.mark.parametrize(("name", "channels"), [("16 grey", 1), ("16 grey alpha", 2), ("16 RGB", 3), ("16 RGBA", 4)])
def test_sixteen_bits_are_kept_to_the_last(samples, make_picture, name, channels):
    np.testing.assert_array_equal(read(samples[f"png {name}"]).pixels, make_picture(channels, np.uint16))


@pytest.mark.parametrize(("name", "channels"), [("png grey key", 1), ("png RGB key", 3)])
def test_the_colour_that_is_named_transparent_becomes_alpha(samples, make_picture, name, channels):
    stored = make_picture(channels)
    alpha = read(samples[name]).pixels[..., -1]
    np.testing.assert_array_equal(alpha == 0, (stored == 250).all(-1) if channels == 3 else stored == 250)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_every_orientation_is_applied(save, make_picture, kind, options, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = save(Image.fromarray(make_picture(3)), kind, exif=exif, **options)
    still = read(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(still.pixels, expected)
    assert ("orientation_applied" in still.notes) == (turn > 1)
    out = encode(still, still.pixels)
    assert Image.open(io.BytesIO(out)).size == (expected.shape[1], expected.shape[0])
    assert Image.open(io.BytesIO(out)).getexif().get(0x0112) is None


@pytest.mark.parametrize(
    "change",
    [lambda p: p[1:], lambda p: p[..., None], lambda p: p.astype(np.uint16), lambda p: p[..., 0]],
    ids=["rows", "axis", "depth", "channels"],
)
def test_other_pixels_than_the_picture_had_are_refused(samples, change):
    still = read(samples["png RGB"])
    with pytest.raises(ValueError, match="do not fit"):
        encode(still, change(still.pixels))


@pytest.mark.parametrize("name", KINDS)
def test_every_truncation_is_refused(samples, name):
    data = samples[name]
    for length in range(0, len(data), max(1, len(data) // 150)):
        with pytest.raises(MediaError):
            read(data[:length])
    for missing in range(1, 9):
        with pytest.raises((DamagedMedia, UnsupportedMedia)):
            read(data[:-missing])


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_damage_is_refused_or_leaves_a_picture_of_the_declared_size(samples, data):
    name = data.draw(st.sampled_from(sorted(KINDS)))
    damaged = bytearray(samples[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    probed = None
    try:
        probed = probe(bytes(damaged), ImageLimits(bytes=1_000_000, pixels=200_000, side=5_000))
        still = decode(bytes(damaged), probed)
    except MediaError:
        return
    assert sorted(still.pixels.shape[:2]) == sorted((probed.height, probed.width))
    assert encode(still, still.pixels)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_truncation_anywhere_is_refused(samples, data):
    whole = samples[data.draw(st.sampled_from(sorted(KINDS)))]
    with pytest.raises(MediaError):
        read(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_real_photo_goes_round(hopper):
    still = read(hopper)
    assert still.pixels.shape == (600, 512, 3)
    out = encode(still, still.pixels)
    assert np.abs(read(out).pixels.astype(int) - still.pixels).mean() < 1
    assert 0.8 < len(out) / len(hopper) < 1.2


def test_pictures_larger_than_the_limit_of_pillow_follow_our_limit_alone(make_png):
    side = 9_500
    data = make_png(np.zeros((side, side), np.uint8), 0, depth=1)
    assert side * side > Image.MAX_IMAGE_PIXELS
    assert read(data).pixels.shape == (side, side)


def test_threads_do_not_disturb_one_another(samples):
    names = [*KINDS] * 4

    def round_trip(name: str) -> bytes:
        still = read(samples[name])
        return encode(still, still.pixels)

    alone = {name: round_trip(name) for name in KINDS}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(round_trip, names)) == [alone[name] for name in names]


def test_one_view_is_enough_where_nothing_is_transparent(make_picture):
    grey, rgb, deep = make_picture(1), make_picture(3), make_picture(3, np.uint16)
    (seen,) = views(grey)
    np.testing.assert_array_equal(seen, np.dstack([grey] * 3))
    (seen,) = views(rgb)
    np.testing.assert_array_equal(seen, rgb)
    (seen,) = views(deep)
    np.testing.assert_array_equal(seen, deep >> 8)
    (seen,) = views(np.dstack((rgb, np.full(rgb.shape[:2], 255, np.uint8))))
    np.testing.assert_array_equal(seen, rgb)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("dtype", "scale", "least"),
    [(np.uint16, 1, 0), (np.uint16, 4, 0), (np.uint16, 16, 0), (np.uint16, 16, 40_000), (np.uint8, 1 / 8, 0)],
)
def test_a_picture_in_few_of_the_levels_is_seen_with_them_spread(make_picture, channels, dtype, scale, least):
    full = make_picture(channels).astype(np.float64)
    pixels = (full * scale + least).astype(dtype)
    if channels in (2, 4):
        pixels[..., -1] = np.iinfo(dtype).max
    raw, seen = views(pixels)
    assert np.ptp(raw) < 64
    assert seen.shape == (HEIGHT, WIDTH, 3)
    drawn = np.dstack([full[..., 0] if full.ndim == 3 else full] * 3) if channels < 3 else full[..., :3]
    assert np.corrcoef(seen.ravel(), drawn.ravel())[0, 1] > 0.99
    assert np.ptp(seen) > 200


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_flat_picture_has_no_levels_to_spread(dtype):
    flat = np.full((HEIGHT, WIDTH, 3), 7, dtype)
    assert len(views(flat)) == 1
    flat[0, 0] = np.iinfo(dtype).max  # a hot pixel
    assert len(views(flat)) == 1


@pytest.mark.parametrize("flat", [0, 90, 127, 128, 129, 255])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_picture_drawn_in_alpha_alone_is_seen(make_picture, flat, channels, depth):
    scale = np.iinfo(depth).max // 255
    colours = np.full((HEIGHT, WIDTH, channels), flat * scale, depth)
    alpha = make_picture(1).astype(depth) * scale
    raw, over = views(np.dstack((colours, alpha)))
    assert np.ptp(raw) == 0
    assert raw.shape == over.shape == (HEIGHT, WIDTH, 3)
    assert np.ptp(over) >= np.ptp(make_picture(1)) // 2
    shown = np.corrcoef(over[..., 0].ravel(), make_picture(1).ravel())[0, 1]
    assert abs(shown) > 0.99
