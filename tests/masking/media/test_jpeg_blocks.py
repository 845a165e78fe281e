import concurrent.futures
import io
import os
import struct
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import jpeglib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from masking.media import jpeg_blocks, jpeg_coefficients
from masking.media.image import Still, encode_with_notes
from masking.media.jpeg_segments import Frame, read_frame, walk
from tests.masking.media.jpegs import SAMPLINGS, args, grid, masked, read, resampled, scene


def blocks(data: bytes, folder) -> list[np.ndarray]:
    """The coefficients as jpeglib's own reader gives them."""
    path = folder / "picture.jpg"
    path.write_bytes(data)
    picture = jpeglib.read_dct(str(path))
    return [plane.copy() for plane in (picture.Y, picture.Cb, picture.Cr) if plane is not None]


def touched_blocks(touched: np.ndarray, sampling: tuple[tuple[int, int], ...], planes) -> list[np.ndarray]:
    """Which blocks lie in an MCU with a touched pixel, told one by one."""
    if len(sampling) == 1:
        sampling = ((1, 1),)
    across, down = max(h for h, _ in sampling), max(v for _, v in sampling)
    found = []
    for (h, v), plane in zip(sampling, planes, strict=True):
        inside = np.zeros(plane.shape[:2], bool)
        for row, column in np.ndindex(inside.shape):
            y, x = row // v * down * 8, column // h * across * 8
            inside[row, column] = touched[y : y + 8 * down, x : x + 8 * across].any()
        found.append(inside)
    return found


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-9)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jpeg")


@given(
    name=st.sampled_from(list(SAMPLINGS)),
    progressive=st.booleans(),
    height=st.integers(1, 70),
    width=st.integers(1, 90),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
)
@settings(max_examples=80, deadline=None)
def test_outside_the_touched_mcus_every_coefficient_stays(folder, name, progressive, height, width, corners):
    data = resampled(name, height, width, progressive=progressive)
    still = read(data)
    x, y = sorted(int(c * width) for c in corners[:2]), sorted(int(c * height) for c in corners[2:])
    pixels, touched = masked(still, (x[0], y[0], x[1], y[1]))
    out, notes = encode_with_notes(still, pixels, touched)
    assert notes == ()
    before, after = blocks(data, folder), blocks(out, folder)
    for inside, old, new in zip(touched_blocks(touched, SAMPLINGS[name], before), before, after, strict=True):
        np.testing.assert_array_equal(new[~inside], old[~inside])
    assert read_frame(out, walk(out)) == read_frame(data, walk(data))
    assert Image.open(io.BytesIO(out)).quantization == Image.open(io.BytesIO(data)).quantization
    shown = read(out).pixels
    # Inside the mask the brightness is that of the mask; ringing at its edge stays below what the tables can do.
    luma = shown if shown.ndim == 2 else shown @ np.array([0.299, 0.587, 0.114])
    assert not touched.any() or np.sqrt(np.mean(luma[touched] ** 2)) < 25


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("name", SAMPLINGS)
def test_touched_mcus_show_the_mask_well(name, progressive):
    still = read(resampled(name, 150, 203, 92, progressive=progressive))
    pixels, touched = masked(still, (33, 41, 120, 110), 200)
    out, _ = encode_with_notes(still, pixels, touched)
    shown = read(out).pixels
    # Chroma of the picture runs into the mask where they share a sample.
    assert psnr(shown[touched], pixels[touched]) > 35
    # One pixel beyond the touched MCUs, none is other than it was: they are at most 32 x 16 pixels.
    far = np.ones_like(touched)
    far[41 - 17 : 110 + 17, 33 - 33 : 120 + 33] = False
    np.testing.assert_array_equal(shown[far], still.pixels[far])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("name", SAMPLINGS)
def test_without_a_face_every_coefficient_stays(folder, name, progressive):
    data = resampled(name, 61, 83, progressive=progressive)
    still = read(data)
    out, notes = encode_with_notes(still, still.pixels, np.zeros(still.pixels.shape[:2], bool))
    assert notes == ()
    for old, new in zip(blocks(data, folder), blocks(out, folder), strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(read(out).pixels, still.pixels)


@pytest.mark.parametrize("quality", [5, 30, 75, 95, 100])
def test_the_mask_shows_at_any_quality(save, quality):
    still = read(save(Image.fromarray(scene(90, 90)), "JPEG", quality=quality))
    pixels, touched = masked(still, (20, 20, 70, 70))
    pixels[30:60, 30:60] = np.random.default_rng(1).integers(0, 256, (30, 30, 3))
    out, notes = encode_with_notes(still, pixels, touched)
    assert notes == ()
    whole, _ = encode_with_notes(still, pixels)
    assert psnr(read(out).pixels[touched], pixels[touched]) > psnr(read(whole).pixels[touched], pixels[touched]) - 1


@pytest.mark.parametrize("optimize", [False, True])
def test_a_file_does_not_grow(save, optimize):
    data = save(Image.fromarray(scene(200, 300)), "JPEG", quality=85, optimize=optimize)
    still = read(data)
    out, _ = encode_with_notes(still, still.pixels, np.zeros((200, 300), bool))
    assert len(out) == len(data)


def test_rgb_components_stay_rgb(save):
    data = save(Image.fromarray(scene(60, 77)), "JPEG", quality=90, keep_rgb=True)
    still = read(data)
    pixels, touched = masked(still, (10, 10, 30, 30))
    out, notes = encode_with_notes(still, pixels, touched)
    shown = read(out).pixels
    assert notes == ()
    assert shown[12:28, 12:28].max() < 30
    np.testing.assert_array_equal(shown[40:], still.pixels[40:])


def test_tables_of_16_bits_and_three_of_them_are_kept(save):
    tables = [list(range(1, 65)), [300] * 64, [7] * 64]
    still = read(save(Image.fromarray(scene(40, 40)), "JPEG", qtables=tables, subsampling=0))
    pixels, touched = masked(still, (4, 4, 20, 20))
    out, notes = encode_with_notes(still, pixels, touched)
    assert notes == ()
    assert [list(table) for table in Image.open(io.BytesIO(out)).quantization.values()] == tables


def test_restart_markers_go_and_coefficients_stay(folder, save):
    data = save(Image.fromarray(scene(60, 77)), "JPEG", restart_marker_blocks=2)
    still = read(data)
    pixels, touched = masked(still, (64, 48, 70, 60))
    out, notes = encode_with_notes(still, pixels, touched)
    before, after = blocks(data, folder), blocks(out, folder)
    assert notes == ()
    assert b"\xff\xdd" in data
    np.testing.assert_array_equal(after[0][:6], before[0][:6])


@pytest.mark.parametrize("progressive", [False, True])
def test_nothing_but_the_picture_is_in_the_file(save, progressive):
    exif = Image.Exif()
    exif[0x010E] = "MARKER"
    options = {"exif": exif, "comment": b"MARKER", "dpi": (301, 301)}
    data = save(Image.fromarray(scene(40, 50)), "JPEG", progressive=progressive, **options) + b"MARKER"
    out, notes = encode_with_notes(*args(read(data)))
    assert notes == ()
    assert b"MARKER" not in out
    image = Image.open(io.BytesIO(out))
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression"}
    assert image.info["jfif_density"] == (1, 1)


def test_a_long_profile_is_split_and_found_again(save):
    still = read(save(Image.fromarray(scene(40, 50)), "JPEG"))
    profile = np.random.default_rng(0).bytes(150_000)
    with_profile = Still(still.kind, still.pixels, still.notes, profile, still.recipe)
    out, notes = encode_with_notes(*args(with_profile))
    assert notes == ()
    assert Image.open(io.BytesIO(out)).info["icc_profile"] == profile


def test_coefficients_out_of_range_are_not_written(save):
    data = save(Image.fromarray(scene(16, 16)), "JPEG", subsampling=0)
    frame = read_frame(data, walk(data))
    planes = jpeg_coefficients.read(data, frame)
    assert jpeg_coefficients.writable(frame, planes)
    for where, value in (((0, 0, 1), 1024), ((1, 1, 63), -1024), ((0, 0, 0), 1024), ((0, 1, 0), -1025)):
        wrong = [plane.copy() for plane in planes]
        wrong[1][where] = value
        assert not jpeg_coefficients.writable(frame, wrong)
    assert not jpeg_coefficients.writable(frame, [plane[:1] for plane in planes])


def test_an_mcu_larger_than_a_scan_may_have_is_not_written():
    data = resampled("4:2:0", 20, 20)
    frame = read_frame(data, walk(data))
    large = tuple(c._replace(sampling=(2, 2)) for c in frame.components)
    wanted = Frame(20, 20, False, large)
    planes = [np.zeros((*shape, 64), np.int16) for shape in grid(wanted)]
    assert not jpeg_coefficients.writable(wanted, planes)


@pytest.mark.parametrize("quality", [40, 75, 95])
@pytest.mark.parametrize("mode", ["YCbCr", "RGB", "L"])
def test_a_file_that_does_not_show_the_mask_or_holds_more_does_not_stand_the_check(save, mode, quality):
    options = {"quality": quality, "keep_rgb": mode == "RGB"}
    data = save(Image.fromarray(scene(61, 77, 1 if mode == "L" else 3)), "JPEG", **options)
    still, pixels, touched = args(read(data))
    stored = still.recipe.stored
    cells = jpeg_blocks.cells_of(touched, stored.frame)
    out, _ = encode_with_notes(still, pixels, touched)
    unmasked, _ = encode_with_notes(still, still.pixels, np.zeros_like(touched))
    finer = save(Image.fromarray(pixels), "JPEG", **{**options, "quality": quality + 2})
    comment = out[:20] + b"\xff\xfe\0\x04ab" + out[20:]
    density = out.replace(b"\0\0\x01\0\x01\0\0", b"\x01\0\x48\0\x48\0\0", 1)
    wrong = [unmasked, finer, comment, out + b"more", out[:-20] + out[-2:]]
    assert jpeg_blocks.shows(out, pixels, cells, stored)
    for data in wrong if mode == "RGB" else [*wrong, density]:
        assert not jpeg_blocks.shows(data, pixels, cells, stored)


def test_threads_do_not_disturb_each_other():
    data = [resampled(name, 100 + i, 120 - i) for i, name in enumerate(SAMPLINGS)] * 8
    alone = [encode_with_notes(*args(read(one))) for one in data[: len(SAMPLINGS)]] * 8
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: encode_with_notes(*args(read(one))), data))
    assert together == alone


@pytest.mark.parametrize("in_memory", [True, False])
def test_no_file_is_left_open_or_on_disk(tmp_path, monkeypatch, save, in_memory):
    before = open_files()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not in_memory:  # as on systems other than Linux
        monkeypatch.delattr(os, "memfd_create", raising=False)
    for _ in range(5):
        assert encode_with_notes(*args(read(save(Image.fromarray(scene(40, 50)), "JPEG"))))[1] == ()
    assert not open_files() - before
    assert not list(tmp_path.iterdir())


def open_files() -> Counter[str]:
    """What this process has open; what other tests have left open may be closed at any time."""
    found = Counter[str]()
    for place in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the look itself
            found[str(place.readlink())] += 1
    return found


def test_a_thumbnail_in_jfif_and_an_unused_table_are_gone(save):
    data = save(Image.fromarray(scene(40, 50)), "JPEG")
    head = data.index(b"\xff\xdb")
    planted = b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x01MARKER"
    unused = b"\x03" + b"MARKER".ljust(64, b"\x01")
    data = (
        data[:2]
        + struct.pack(">HH", 0xFFE0, len(planted) + 2)
        + planted
        + struct.pack(">HH", 0xFFDB, len(unused) + 2)
        + unused
        + data[head:]
    )
    out, notes = encode_with_notes(*args(read(data)))
    assert notes == ()
    assert b"MARKER" not in out
