import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from masking.media import icc
from masking.media.image import Still, decode, encode
from masking.media.probe import ImageLimits, probe

LIMITS = ImageLimits(bytes=10_000_000, pixels=10_000_000, side=10_000)

# The primaries of sRGB, adapted to the white of the profile connection space.
RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def assemble(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of version 2 (ICC.1:2001): header, table of tags, tags."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value
    size = start + len(body)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x02100000, kind, space, connection, b"acsp")
    white = struct.pack(">3i", 63190, 65536, 54061)
    return (head.ljust(68, b"\0") + white).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def printer() -> bytes:
    """A press of which every ink is black: lightness falls to nothing with the ink that covers most."""
    ramp = bytes(range(256))
    nodes = b"".join(bytes((0 if any(inks) else 255, 128, 128)) for inks in np.ndindex(2, 2, 2, 2))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + nodes + ramp * 3
    return assemble(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def display(space: bytes, gamma: float = 2.2, colourants: tuple[tuple[float, ...], ...] = ()) -> bytes:
    """A minimal display: white, one curve, and colourants for RGB."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    for name, colourant in zip((b"r", b"g", b"b"), colourants, strict=False):
        tags |= {name + b"XYZ": xyz(colourant), name + b"TRC": curve}
    return assemble(b"mntr", space, b"XYZ ", tags)


SWAPPED = display(b"RGB ", colourants=(GREEN, RED, BLUE))
LINEAR_GREY = display(b"GRAY", gamma=1.0)


def swapped_to_srgb(values: np.ndarray) -> np.ndarray:
    """What SWAPPED means in sRGB (IEC 61966-2-1): red and green change places, and the curve is another."""
    light = values[..., [1, 0, 2]] ** 2.2
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def read(data: bytes) -> Still:
    return decode(data, probe(data, LIMITS))


KINDS = [("JPEG", {"quality": 95, "subsampling": 0}), ("PNG", {}), ("WEBP", {"lossless": True, "exact": True})]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_known_profile_stays_byte_for_byte(save, make_picture, monkeypatch, kind, options):
    known = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    monkeypatch.setitem(icc.KNOWN_PROFILES, hashlib.sha256(known).hexdigest(), ("a known one", "rgb"))
    data = save(Image.fromarray(make_picture(3)), kind, icc_profile=known, **options)
    still = read(data)
    assert (still.icc, still.notes) == (known, ())
    out = encode(still, still.pixels)
    assert Image.open(io.BytesIO(out)).info["icc_profile"] == known
    assert read(out).icc == known


@pytest.mark.parametrize(
    ("kind", "options", "channels"),
    [(kind, options, channels) for kind, options in KINDS for channels in (3, 4) if (kind, channels) != ("JPEG", 4)],
)
def test_pixels_under_any_other_profile_become_srgb(save, make_picture, kind, options, channels):
    pixels = make_picture(channels)
    plain = read(save(Image.fromarray(pixels), kind, **options)).pixels
    still = read(save(Image.fromarray(pixels), kind, icc_profile=SWAPPED, **options))
    assert (still.icc, still.notes) == (None, ("icc_converted_to_srgb",))
    assert np.abs(still.pixels[..., :3] - 255 * swapped_to_srgb(plain[..., :3] / 255)).mean() < 1
    if channels == 4:
        np.testing.assert_array_equal(still.pixels[..., 3], plain[..., 3])
    assert "icc_profile" not in Image.open(io.BytesIO(encode(still, still.pixels))).info


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_under_a_grey_profile_stays_grey(save, mode):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    pixels = ramp if mode == "L" else np.dstack((ramp, ramp[:, ::-1]))
    still = read(save(Image.fromarray(pixels), "PNG", icc_profile=LINEAR_GREY))
    assert still.notes == ("icc_converted_to_srgb",)
    assert still.pixels.shape == pixels.shape
    grey = still.pixels if mode == "L" else still.pixels[..., 0]
    # IEC 61966-2-1: a linear half is 188 of 255.
    assert [int(v) for v in grey[0, [0, 128, 255]]] == pytest.approx([0, 188, 255], abs=1)
    if mode == "LA":
        np.testing.assert_array_equal(still.pixels[..., 1], pixels[..., 1])


def test_sixteen_bits_stay_so_and_the_lower_precision_is_told(make_png, make_picture):
    chunk = (b"iCCP", b"name\0\0" + zlib.compress(SWAPPED))
    pixels = make_picture(3, np.uint16)
    still = read(make_png(pixels, 2, before=[chunk]))
    assert still.notes == ("icc_converted_to_srgb", "icc_converted_at_8_bit")
    assert still.pixels.dtype == np.uint16
    assert np.abs(still.pixels / 65535 - swapped_to_srgb(pixels / 65535)).mean() < 1 / 255


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize(
    "broken",
    [b"no profile at all", SWAPPED[:200], LINEAR_GREY, SWAPPED.replace(b"mntr", b"link"), b"\0" * 5_000_000],
    ids=["text", "cut", "grey for colour", "device link", "too long"],
)
def test_an_unusable_profile_is_dropped_and_noted(save, make_picture, kind, options, broken):
    image = Image.fromarray(make_picture(3))
    still = read(save(image, kind, icc_profile=broken, **options))
    assert (still.icc, still.notes) == (None, ("icc_unusable_dropped",))
    np.testing.assert_array_equal(still.pixels, read(save(image, kind, **options)).pixels)


def test_a_colour_profile_on_grey_pixels_is_unusable(save, make_picture):
    still = read(save(Image.fromarray(make_picture(1)), "JPEG", icc_profile=SWAPPED))
    assert (still.pixels.ndim, still.notes) == (2, ("icc_unusable_dropped",))


def test_cmyk_with_an_unusable_profile_is_converted_plainly(save, make_picture):
    cmyk = Image.fromarray(make_picture(3)).convert("CMYK")
    still = read(save(cmyk, "JPEG", icc_profile=SWAPPED))
    assert still.notes == ("icc_unusable_dropped", "cmyk_converted_to_srgb")
    np.testing.assert_array_equal(still.pixels, read(save(cmyk, "JPEG")).pixels)


@pytest.mark.parametrize(("inks", "shown"), [((0, 0, 0, 0), 255), ((255, 0, 0, 0), 0), ((0, 0, 0, 255), 0)])
def test_cmyk_is_seen_as_its_own_profile_says(save, inks, shown):
    cmyk = Image.new("CMYK", (16, 16), inks)
    still = read(save(cmyk, "JPEG", quality=95, icc_profile=printer()))
    assert still.notes == ("icc_converted_to_srgb", "cmyk_converted_to_srgb")
    assert np.abs(still.pixels.astype(int) - shown).max() <= 3


def test_a_profile_of_which_parts_are_missing_is_dropped(save, make_picture):
    data = save(Image.fromarray(make_picture(3)), "JPEG", icc_profile=bytes(range(256)) * 400)
    whole = data.index(b"ICC_PROFILE\0\x02\x02")
    assert read(data[: whole + 12] + b"\x03" + data[whole + 13 :]).notes == ("icc_unusable_dropped",)


def test_the_list_of_known_profiles_is_well_formed():
    assert all(len(bytes.fromhex(digest)) == 32 and digest == digest.lower() for digest in icc.KNOWN_PROFILES)
    assert {colour for _, colour in icc.KNOWN_PROFILES.values()} == {"rgb", "grey"}
