"""Which files of a folder are media: real ones of many kinds under names that say nothing, and what only looks so."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from typer.testing import Result

from cli.marks import looks_like_media
from masking.voice.types import Mono

Run = Callable[..., Result]
PIXELS = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)


def film(path: Path, muxer: str, codec: str, size: tuple[int, int] = (64, 48), pixel_format: str = "yuv420p") -> Path:
    """Write five pictures of noise."""
    with av.open(str(path), "w", format=muxer) as target:
        stream = target.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        for _ in range(5):
            picture = av.VideoFrame.from_ndarray(cv2.resize(PIXELS, size), "rgb24")
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    return path


def named(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("muxer", "codec"),
    [
        ("mpegts", "libx264"),
        ("vob", "mpeg2video"),
        ("mpeg2video", "mpeg2video"),
        ("h264", "libx264"),
        ("avi", "mpeg4"),
        ("asf", "wmv2"),
        ("flv", "flv"),
        ("rm", "rv20"),
        ("ivf", "libvpx-vp9"),
        ("yuv4mpegpipe", "rawvideo"),
        ("mxf", "mpeg2video"),
        ("mov", "libx264"),
        ("webm", "libvpx-vp9"),
        ("gif", "gif"),
    ],
)
def test_videos_are_known_without_a_name(tmp_path: Path, muxer: str, codec: str) -> None:
    size, pixels = ((176, 144), "rgb8" if codec == "gif" else "yuv420p")
    assert looks_like_media(film(tmp_path / "clip", muxer, codec, size, pixels))


def test_a_video_for_tape_is_known_without_a_name(tmp_path: Path) -> None:
    assert looks_like_media(film(tmp_path / "clip", "dv", "dvvideo", (720, 576)))


def test_a_transport_stream_is_known_wherever_it_was_cut(tmp_path: Path) -> None:
    data = film(tmp_path / "whole", "mpegts", "libx264", (320, 240)).read_bytes()
    stamped = b"".join(bytes(4) + data[at : at + 188] for at in range(0, len(data), 188))
    for name, cut in (("a.ts", data), ("b.ts", data[100:]), ("c.dat", data[187:]), ("d.dat", stamped)):
        assert looks_like_media(named(tmp_path / name, cut)), name


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".jp2", ".pgm", ".ppm", ".avif"])
def test_pictures_are_known_without_a_name(tmp_path: Path, kind: str) -> None:
    data = cv2.imencode(kind, PIXELS[..., 0] if kind == ".pgm" else PIXELS)[1].tobytes()
    assert looks_like_media(named(tmp_path / "photo", data))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.w64", "pcm_s16le"),
        ("a.aiff", "pcm_s16be"),
        ("a.caf", "pcm_s16be"),
        ("a.au", "pcm_s16be"),
        ("a.flac", "flac"),
        ("a.opus", "libopus"),
        ("a.aac", "aac"),
        ("a.wv", "wavpack"),
        ("a.tta", "tta"),
    ],
)
def test_sound_is_known_without_a_name(
    talk: Mono, write_sound: Callable[..., None], tmp_path: Path, name: str, codec: str
) -> None:
    write_sound(tmp_path / name, talk, codec)
    assert looks_like_media((tmp_path / name).rename(tmp_path / "voice.dat"))


@pytest.mark.parametrize(
    "name",
    [
        "x.m2t", "x.trp", "x.dv", "x.asf", "x.divx", "x.3gpp", "x.m2v", "x.h264", "x.y4m", "x.ogm", "x.orf", "x.rw2",
        "x.raf", "x.pef", "x.srw", "x.ppm", "x.pgm", "x.psd", "x.tga", "x.heics", "x.w64", "x.JPG",
    ],
)  # fmt: skip
def test_a_name_that_media_alone_have_is_enough(tmp_path: Path, name: str) -> None:
    assert looks_like_media(named(tmp_path / name, b"words"))


@pytest.mark.parametrize("name", ["x.ts", "x.mts", "x.mod", "x.tod", "x.raw", "x.rm"])
def test_a_name_that_text_has_too_is_enough_for_what_is_no_text(tmp_path: Path, name: str) -> None:
    assert looks_like_media(named(tmp_path / name, bytes(range(256))))
    assert not looks_like_media(named(tmp_path / name, "export const größe = 1;\r\n\tvar x = `…`;\n".encode() * 200))
    assert not looks_like_media(named(tmp_path / name, "export const größe = 1;\r\n".encode("utf-16")))
    assert not looks_like_media(named(tmp_path / name, b""))


@pytest.mark.parametrize(
    "words",
    [
        "The free encyclopedia", "The JXL format", "The ftyp box", "BMW and others", "MMORPG", "MAC addresses",
        "DSD and PCM", "ID3 tags say who sings", "OggS is how a page begins", "caffeine", "P5 is the fifth of nine",
        "RIFF, a family of kinds", "GIF is a kind of picture", "%PDF-1.7\n",
    ],
)  # fmt: skip
def test_words_are_no_media_though_they_begin_like_some(tmp_path: Path, words: str) -> None:
    assert not looks_like_media(named(tmp_path / "notes.txt", words.encode()))


def test_data_are_no_media_though_a_mark_stands_where_chance_puts_it(tmp_path: Path) -> None:
    chance = np.random.default_rng(7)
    for number in range(200):
        data = bytearray(chance.bytes(6000))
        data[:2] = (b"\xff\xfb", b"\xff\xf3", b"BM")[number % 3]
        data[188:189] = b"G"
        assert not looks_like_media(named(tmp_path / "data.dat", bytes(data))), number


def test_a_folder_masks_or_tells_of_all_media_in_it(
    masker: Run, talk: Mono, write_sound: Callable[..., None], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    film(folder / "x.ts", "mpegts", "libx264")
    write_sound(folder / "w64.w64", talk, "pcm_s16le")
    named(folder / "1.pgm", cv2.imencode(".pgm", PIXELS[..., 0])[1].tobytes())
    named(folder / "raw.orf", cv2.imencode(".tiff", PIXELS)[1].tobytes())
    write_sound(tmp_path / "a.mp3", talk, "libmp3lame")
    tagged = (tmp_path / "a.mp3").read_bytes()
    named(folder / "memo", tagged[tagged.index(b"\xff\xf3") :])
    write_sound(tmp_path / "a.aac", talk, "aac")
    (tmp_path / "a.aac").rename(folder / "voice.dat")
    named(folder / "code.ts", b"export const answer = 42;\n")
    named(folder / "go.mod", b"module example.org/answer\n")
    result = masker("mask", "in", "-o", "out", "--report", "reports")
    told = result.stderr
    assert result.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["memo", "voice.dat"]
    assert "passed over 2 hidden files and files that are no media" in told
    for name in ("x.ts: failed", "w64.w64: failed", "1.pgm: failed", "raw.orf: failed"):
        assert f"in/{name}: UnsupportedMedia" in told
