"""What is stored but not to be shown is not shown."""

import struct

import numpy as np
import pytest

from masking.media.video import probe_video
from masking.media.video_aperture import Aperture
from tests.masking.media.group_films import film, masked
from tests.masking.media.videos import LIMITS, copy, decoded_rgb, facts, make

SIZE = 64, 48
WAY = b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"
UNIT = bytes.fromhex("54b28104")
"""What the Matroska muxer says of the picture beside its size, as long as one crop."""


def clap(*values):
    """A clean aperture: width, height, and how far its middle lies right of and below the picture's, as fractions."""
    pairs = [value if isinstance(value, tuple) else (value, 1) for value in values]
    return b"\0\0\0\x28clap" + b"".join(struct.pack(">iI", *pair) for pair in pairs)


def with_box(path, box):
    """Put a box at the end of what a file says of its video; its samples lie before."""
    data = bytearray(path.read_bytes())
    at, end = 0, len(data)
    for name in WAY:
        while data[at + 4 : at + 8] != name:
            at += int.from_bytes(data[at : at + 4], "big")
            assert at < end
        length = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = (length + len(box)).to_bytes(4, "big")
        end = at + length
        at += 16 if name == b"stsd" else 8
    data[end:end] = box
    path.write_bytes(data)
    return path


def cropped(path, edge, pixels):
    """Have a Matroska file hide so many columns or rows at one of its edges."""
    ids = {"left": "54cc", "top": "54bb", "right": "54dd", "bottom": "54aa"}
    data = path.read_bytes()
    assert data.count(UNIT) == 1
    path.write_bytes(data.replace(UNIT, bytes.fromhex(ids[edge]) + bytes((0x81, pixels))))
    return path


@pytest.mark.parametrize(
    ("kind", "hide", "part"),
    [
        ("mp4", lambda path: with_box(path, clap(48, 32, 4, 2)), Aperture(12, 10, 48, 32, SIZE)),
        ("mov", lambda path: with_box(path, clap(48, 32, -4, (-4, 2))), Aperture(4, 6, 48, 32, SIZE)),
        ("mp4", lambda path: with_box(path, clap(64, 40, 0, 0)), Aperture(0, 4, 64, 40, SIZE)),
        # Colour is told for two columns at once: none of those that are hidden is shown.
        ("mp4", lambda path: with_box(path, clap(50, 48, 0, 0)), Aperture(8, 0, 49, 48, SIZE)),
        ("mkv", lambda path: cropped(path, "left", 7), Aperture(8, 0, 56, 48, SIZE)),
        ("mkv", lambda path: cropped(path, "top", 4), Aperture(0, 4, 64, 44, SIZE)),
        ("mkv", lambda path: cropped(path, "right", 10), Aperture(0, 0, 54, 48, SIZE)),
        ("mkv", lambda path: cropped(path, "bottom", 6), Aperture(0, 0, 64, 42, SIZE)),
    ],
)
@pytest.mark.parametrize("turns", [0, 1])
def test_only_the_part_that_is_to_be_shown_is_there(tmp_path, kind, hide, part, turns):
    whole, plain = (make(tmp_path / name, kind, turn=(90 * turns,)) for name in ("whole", "in"))
    source = hide(plain)
    assert probe_video(whole, LIMITS).aperture is None
    assert probe_video(source, LIMITS).aperture == part

    copy(source, tmp_path / "out")

    after = probe_video(tmp_path / "out", LIMITS)
    assert (after.aperture, after.stored_size, after.dropped) == (None, (part.width, part.height), ())
    before, told = facts(source), facts(tmp_path / "out")
    for fact in ("times", "aspect", "codec", "colours", "rotation"):
        assert told[fact] == before[fact]
    shown = slice(part.top, part.top + part.height), slice(part.left, part.left + part.width)
    for old, new, out in zip(decoded_rgb(whole), decoded_rgb(source), decoded_rgb(tmp_path / "out"), strict=True):
        expected = np.rot90(np.rot90(old, -turns)[shown], turns)
        assert new.shape == expected.shape
        assert np.abs(new.astype(int) - expected).mean() < 2
        assert np.abs(out.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(
    "values",
    [
        (64, 48, 0, 0),
        (80, 60, 0, 0),
        (0, 48, 0, 0),
        ((48, 0), 48, 0, 0),
        (48, 32, 1000, 0),
        (48, 32, (-1000, 1), 0),
    ],
)
def test_an_aperture_that_hides_nothing_or_all_is_none(tmp_path, values):
    source = with_box(make(tmp_path / "in"), clap(*values))
    assert probe_video(source, LIMITS).aperture is None
    copy(source, tmp_path / "out")
    assert facts(tmp_path / "out")["size"] == SIZE


def test_groups_of_which_a_part_is_shown_are_not_copied(tmp_path):
    source = with_box(film(tmp_path / "in.mp4"), clap(48, 32, 0, 0))
    report = masked(source, tmp_path / "out.mp4", 11)
    assert (report.copied, report.width, report.height) == (0, 48, 32)
    assert probe_video(tmp_path / "out.mp4", LIMITS).stored_size == (48, 32)
