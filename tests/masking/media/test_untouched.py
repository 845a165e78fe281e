"""Outside of the mask a picture of any kind stays as it was, or a note says that it was coded anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from masking.media.image import encode_with_notes
from tests.masking.media.jpegs import RECODED, args, masked, read, scene


def oriented(save) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return save(Image.fromarray(scene(40, 50)), "JPEG", exif=exif)


def cmyk(save) -> bytes:
    return save(Image.fromarray(scene(40, 50)).convert("CMYK"), "JPEG")


def zero_in_table(save) -> bytes:
    data = bytearray(save(Image.fromarray(scene(40, 50)), "JPEG", qtables=[[9] * 64, [8] * 64]))
    data[data.index(b"\xff\xdb") + 5 + 63] = 0
    return bytes(data)


def same_ids(save) -> bytes:
    data = save(Image.fromarray(scene(40, 50)), "JPEG")
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data = bytearray(data)
    data[frame + 16] = data[scan + 9] = 2
    return bytes(data)


@pytest.mark.parametrize("make", [oriented, cmyk, zero_in_table, same_ids])
def test_what_cannot_be_kept_is_coded_anew_and_said(save, make):
    still, pixels, touched = args(read(make(save)))
    out, notes = encode_with_notes(still, pixels, touched)
    assert notes == RECODED
    assert read(out).pixels[14:26, 14:26].max() < 40


@pytest.mark.parametrize("name", ["webp lossy", "webp lossy alpha"])
def test_lossy_webp_is_said_to_be_coded_anew(samples, name):
    assert encode_with_notes(*args(read(samples[name])))[1] == RECODED


@pytest.mark.parametrize(
    "name",
    [
        "png 1",
        "png L",
        "png LA",
        "png RGB",
        "png RGBA",
        "png P",
        "png P transparent",
        "png 4-bit palette",
        "png 16 grey",
        "png 16 grey alpha",
        "png 16 RGB",
        "png 16 RGBA",
        "webp lossless",
        "webp lossless alpha",
    ],
)
@given(box=st.tuples(st.integers(0, 43), st.integers(0, 26), st.integers(0, 43), st.integers(0, 26)))
@settings(max_examples=10, deadline=None)
def test_lossless_kinds_keep_every_pixel_outside_the_mask(samples, name, box):
    still = read(samples[name])
    pixels, touched = masked(still, box)
    out, notes = encode_with_notes(still, pixels, touched)
    shown = read(out).pixels
    if shown.ndim == 3 and shown.shape != pixels.shape:
        pixels = pixels[..., : shown.shape[2]]  # alpha that hides nothing is not stored
    assert notes == ()
    np.testing.assert_array_equal(shown, pixels)


def test_touched_pixels_must_be_of_the_picture(samples):
    still = read(samples["jpeg 4:2:0"])
    with pytest.raises(ValueError, match="touched"):
        encode_with_notes(still, still.pixels, np.zeros((3, 3), bool))


@pytest.mark.parametrize("where", [(0, 0), (20, 9), (20, 30), (9, 20), (25, 42), (15, 20)])
@pytest.mark.parametrize("name", ["jpeg grey", "jpeg 4:2:0", "png RGBA", "png 16 RGB", "webp lossless"])
def test_a_pixel_that_differs_must_be_said_to_be_touched(samples, name, where):
    still = read(samples[name])
    pixels, touched = masked(still, (10, 10, 30, 26))
    touched[where] = False
    pixels[where] = still.pixels[where] ^ 1
    with pytest.raises(ValueError, match="touched"):
        encode_with_notes(still, pixels, touched)
