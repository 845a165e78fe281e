import av
import pytest

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, UnsupportedMedia
from masking.media.video import VideoLimits, probe_video, sniff_video
from tests.masking.media.videos import CODECS, LIMITS, add_sound, drawing, make


def only_sound(path):
    with av.open(str(path), "w", format="mp4") as target:
        add_sound(target, target.add_stream("aac", rate=48000))
    return path


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("empty.mp4", b"", EmptyMedia),
        ("text.mp4", b"once upon a time there was no video at all", UnsupportedMedia),
        ("picture.mp4", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, UnsupportedMedia),
        ("heif.mp4", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UnsupportedMedia),
        ("list.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", UnsupportedMedia),
        ("noise.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\xa5" * 999, DamagedMedia),
        ("noise.mkv", b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska" + b"\xa5" * 999, DamagedMedia),
    ],
)
def test_what_is_no_video_is_told_apart_by_its_content(tmp_path, name, content, error):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(error):
        probe_video(tmp_path / name, LIMITS)


def test_a_sound_file_named_mp4_is_no_video(tmp_path):
    with pytest.raises(UnsupportedMedia, match="no video"):
        probe_video(only_sound(tmp_path / "in.mp4"), LIMITS)


@pytest.mark.parametrize(("kind", "codec"), CODECS)
def test_the_name_plays_no_part(tmp_path, kind, codec):
    source = make(tmp_path / "holiday.txt", kind, codec, times=[0])

    assert sniff_video(source.read_bytes()[:64])
    assert probe_video(source, LIMITS).container == kind
    assert not sniff_video(b"\xff\xd8\xff\xe0" + b"\0" * 60)


@pytest.mark.parametrize(
    "limits",
    [
        VideoLimits(100, 10**6, 2000, 600),
        VideoLimits(10**7, 64 * 48 - 1, 2000, 600),
        VideoLimits(10**7, 10**6, 63, 600),
        VideoLimits(10**7, 10**6, 2000, 0.1),
    ],
    ids=["bytes", "pixels", "side", "seconds"],
)
def test_what_is_too_large_is_refused(tmp_path, limits):
    source = make(tmp_path / "in")

    with pytest.raises(MediaTooLarge):
        probe_video(source, limits)


def test_a_cover_picture_is_no_video(tmp_path):
    with av.open(str(tmp_path / "in"), "w", format="mp4") as target:
        cover = target.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = 1 << 10
        add_sound_stream = target.add_stream("aac", rate=48000)
        target.mux(cover.encode(av.VideoFrame.from_ndarray(drawing(0, 64, 48)).reformat(format="yuvj420p")))
        target.mux(cover.encode(None))
        add_sound(target, add_sound_stream)
    with av.open(str(tmp_path / "in")) as source:
        if not source.streams.video[0].disposition & 1 << 10:
            pytest.skip("this FFmpeg does not write covers so")

    with pytest.raises(UnsupportedMedia, match="no video"):
        probe_video(tmp_path / "in", LIMITS)
