import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from masking.errors import DamagedMedia, EmptyMedia, MediaError, MediaTooLarge, UnsupportedMedia
from masking.media.probe import ImageKind, ImageLimits, probe

LIMITS = ImageLimits(bytes=1_000_000, pixels=50_000_000, side=20_000)
SECRET = "a-face-nobody-may-see"


@pytest.mark.parametrize(
    ("name", "kind", "media_type"),
    [("jpeg 4:2:0", "jpeg", "image/jpeg"), ("png L", "png", "image/png"), ("webp lossy", "webp", "image/webp")],
)
def test_the_kind_is_told_by_content(samples, name, kind, media_type):
    found = probe(samples[name], LIMITS)
    assert (found.kind, found.kind.media_type) == (ImageKind(kind), media_type)
    assert (found.width, found.height) == (43, 26)


def test_width_and_height_are_as_stored(save, make_picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = probe(save(Image.fromarray(make_picture(3)), "JPEG", exif=exif), LIMITS)
    assert (found.width, found.height) == (43, 26)


def test_no_bytes_are_empty():
    with pytest.raises(EmptyMedia):
        probe(b"", LIMITS)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO", "PPM"])
def test_other_pictures_are_refused_by_content(save, make_picture, kind):
    with pytest.raises(UnsupportedMedia, match="JPEG, PNG and WebP"):
        probe(save(Image.fromarray(make_picture(3)), kind), LIMITS)


@pytest.mark.parametrize("data", [SECRET.encode() * 9, b"%PDF-1.7", b"\0" * 99, b"\xff\xd8", b"RIFF\4\0\0\0WAVE"])
def test_what_is_no_picture_is_refused_without_being_quoted(data):
    with pytest.raises(UnsupportedMedia, match="JPEG, PNG and WebP") as caught:
        probe(data, LIMITS)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused_and_told_so(save, make_picture, kind):
    frames = [Image.fromarray(np.roll(make_picture(3), shift, axis=1)) for shift in (0, 5, 9)]
    with pytest.raises(UnsupportedMedia, match="animations are not masked here"):
        probe(save(frames[0], kind, save_all=True, append_images=frames[1:], duration=50), LIMITS)


@pytest.mark.parametrize(
    "limits",
    [
        ImageLimits(bytes=100, pixels=LIMITS.pixels, side=LIMITS.side),
        ImageLimits(bytes=LIMITS.bytes, pixels=43 * 26 - 1, side=LIMITS.side),
        ImageLimits(bytes=LIMITS.bytes, pixels=LIMITS.pixels, side=42),
    ],
    ids=["bytes", "pixels", "side"],
)
@pytest.mark.parametrize("name", ["jpeg 4:2:0", "png RGB", "webp lossy", "webp lossy alpha", "webp lossless"])
def test_limits_hold(samples, name, limits):
    with pytest.raises(MediaTooLarge):
        probe(samples[name], limits)


@pytest.mark.parametrize("name", ["jpeg 4:2:0", "png RGB", "webp lossy", "webp lossless"])
def test_the_limit_itself_is_allowed(samples, name):
    probe(samples[name], ImageLimits(bytes=len(samples[name]), pixels=43 * 26, side=43))


@pytest.mark.parametrize("colour", [0, 2, 6])
def test_a_huge_picture_is_refused_by_its_header_alone(make_ihdr, colour):
    data = make_ihdr(30_000, 30_000, 16, colour) + b"\0" * 900_000
    tracemalloc.start()
    with pytest.raises(MediaTooLarge, match="30000 x 30000"):
        probe(data, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.parametrize(
    "header",
    [(0, 5, 8, 2), (5, 0, 8, 2), (5, 5, 3, 0), (5, 5, 4, 2), (5, 5, 16, 3), (5, 5, 8, 1), (5, 5, 8, 2, 2)],
)
def test_an_impossible_png_header_is_damage(make_ihdr, header):
    with pytest.raises(DamagedMedia):
        probe(make_ihdr(*header) + b"\0" * 50, LIMITS)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8X"]), st.binary(max_size=120)
)
def test_nothing_but_a_media_error_escapes(magic, rest):
    with pytest.raises(MediaError):
        probe(magic + rest, ImageLimits(bytes=100_000, pixels=0, side=0))
