import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, StorageError, UnsupportedMedia
from masking.media.video import VideoLimits, VideoWriter, open_video, probe_video, sniff_video

LIMITS = VideoLimits(bytes=10_000_000, pixels=1_000_000, side=2_000, seconds=600)
TICK = Fraction(1, 600)
SIZES = {"libsvtav1": (128, 96)}
OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "10", "bf": "2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"},
    "libsvtav1": {"preset": "12"},
}
MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}


def drawing(number, width, height):
    """A picture whose upper left is red, upper right green, and whose grey tells its number."""
    rgb = np.full((height, width, 3), 40 + number % 20 * 8, np.uint8)
    rgb[: height // 4, : width // 4] = (220, 20, 20)
    rgb[: height // 4, -(width // 4) :] = (20, 200, 20)
    return rgb


def make(
    path, kind="mp4", codec="libx264", *, size=None, times=range(0, 240, 24), pixels="yuv420p", turn=None, tick=TICK,
    sound=None, metadata=None, subtitles=False, options=None, colour=None, movflags=None,
):  # fmt: skip
    """Write a small video; ``times`` are those of its frames in ticks."""
    width, height = size or SIZES.get(codec, (64, 48))
    container_options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", format=MUXERS[kind], container_options=container_options) as target:
        target.metadata.update(metadata or {})
        stream = target.add_stream(
            codec, rate=25, time_base=tick, options={**OPTIONS.get(codec, {}), **(options or {})}
        )
        context = stream.codec_context
        context.width, context.height, context.pix_fmt, context.thread_count = width, height, pixels, 1
        if colour:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = colour
        if turn:
            stream.set_display_rotation(*turn)
        voice = target.add_stream(sound, rate=48000) if sound else None
        text = target.add_mux_stream("mov_text" if kind in ("mp4", "mov") else "subrip") if subtitles else None
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(drawing(number, width, height)).reformat(format=pixels)
            picture.pts, picture.time_base = time, tick
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
        if voice is not None:
            add_sound(target, voice)
        if text is not None:
            line = av.Packet(b"\0\x05Alice" if kind in ("mp4", "mov") else b"Alice")
            line.pts = line.dts = 0
            line.duration, line.time_base, line.stream = 100, Fraction(1, 1000), text
            target.mux(line)
    return path


def add_sound(target, voice):
    wave = (np.sin(np.arange(48000) * 0.05) * 0.3).astype(np.float32)
    for start in range(0, 19200, 960):
        heard = av.AudioFrame.from_ndarray(np.stack([wave[start : start + 960]] * 2), "fltp", "stereo")
        heard.sample_rate, heard.pts, heard.time_base = 48000, start, Fraction(1, 48000)
        for resampled in av.AudioResampler(voice.codec_context.format, "stereo", 48000).resample(heard):
            target.mux(voice.encode(resampled))
    target.mux(voice.encode(None))


def copy(source, target, *, sound="drop", paint=None):
    """Read and write a video; return the reader and the writer."""
    probe = probe_video(source, LIMITS)
    with open_video(source, probe) as reader, VideoWriter(target, reader, sound=sound) as writer:
        for frame in reader:
            if paint:
                paint(frame)
            writer.write(frame)
        writer.commit()
    return reader, writer


def length(path):
    """The seconds that the file itself states; FFmpeg's own reading of an MP4 counts in the order of decoding."""
    data = path.read_bytes()
    if (at := data.find(b"mvhd")) > 0:
        return int.from_bytes(data[at + 20 : at + 24], "big") / int.from_bytes(data[at + 16 : at + 20], "big")
    with av.open(str(path)) as source:
        return source.duration / av.time_base


def facts(path):
    """All of a video that a masked copy has to keep, as another reader sees it."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        pictures = list(source.decode(stream))
        first = pictures[0]
        return {
            "times": [picture.pts * stream.time_base for picture in pictures],
            "size": (first.width, first.height),
            "duration": source.duration,
            "aspect": stream.sample_aspect_ratio,
            "codec": stream.codec_context.codec.canonical_name,
            "format": first.format.name,
            "colours": (first.colorspace, first.color_primaries, first.color_trc, first.color_range),
            "rotation": first.rotation,
        }


CODECS = [
    ("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9"), ("mkv", "libvpx-vp9"),
    ("mp4", "libsvtav1"), ("mkv", "libsvtav1"), ("webm", "libsvtav1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "codec"), CODECS)
def test_container_codec_times_and_length_are_kept(tmp_path, kind, codec):
    source = make(tmp_path / "in", kind, codec, colour=(1, 1, 1, 1))

    reader, writer = copy(source, tmp_path / "out")

    before, after = facts(source), facts(tmp_path / "out")
    assert after == before
    assert probe_video(tmp_path / "out", LIMITS).container == kind
    assert (reader.damage, reader.notes, writer.notes) == (None, (), ())
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    "times",
    [[0, 24, 30, 90, 96, 300, 306], [0], range(300, 540, 24), range(90, 330, 24)],
    ids=["variable", "one frame", "late start", "odd start"],
)
def test_every_time_stamp_is_kept(tmp_path, kind, times):
    source = make(tmp_path / "in", kind, "libvpx-vp9" if kind == "webm" else "libx264", times=times)

    copy(source, tmp_path / "out")

    before, after = facts(source), facts(tmp_path / "out")
    assert after["times"] == before["times"]
    assert abs(length(tmp_path / "out") - length(source)) <= 0.02


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize(
    "turn",
    [(90,), (180,), (270,), (0, True, False), (0, False, True), (90, True, False), (90, False, True)],
)
def test_rotation_is_kept_and_frames_are_seen_upright(tmp_path, kind, turn):
    source = make(
        tmp_path / "in", kind, "libvpx-vp9" if kind == "webm" else "libx264", turn=turn, times=range(0, 72, 24)
    )
    expected = np.rot90(drawing(0, 64, 48), turn[0] // 90)
    expected = expected[:, ::-1] if turn[1:2] == (True,) else expected
    expected = expected[::-1] if turn[2:3] == (True,) else expected

    probe = probe_video(source, LIMITS)
    with open_video(source, probe) as reader:
        seen = next(iter(reader)).rgb()
    copy(source, tmp_path / "out")

    assert (probe.height, probe.width) == expected.shape[:2]
    assert np.abs(seen.astype(int) - expected).mean() < 12
    after = probe_video(tmp_path / "out", LIMITS)
    assert (after.turn, after.matrix) == (probe.turn, probe.matrix)
    assert facts(tmp_path / "out")["size"] == (64, 48)


@pytest.mark.parametrize(
    ("kind", "codec", "size", "pixels", "becomes", "notes"),
    [
        ("mp4", "libx264", (64, 48), "yuv420p10le", "yuv420p10le", ()),
        ("mkv", "libx264", (64, 48), "yuv422p10le", "yuv422p10le", ()),
        ("mp4", "libx264", (64, 48), "yuvj420p", "yuvj420p", ()),
        (
            "mkv",
            "ffv1",
            (64, 48),
            "gray",
            "yuv420p",
            ("video_recoded_as_h264",),
        ),  # FFmpeg shows grey H.264 with a chroma
        ("mp4", "libx264", (63, 47), "yuv444p", "yuv444p", ()),
        ("webm", "libvpx-vp9", (63, 47), "yuv420p", "yuv420p", ()),
        ("mkv", "libvpx-vp9", (64, 48), "yuv444p", "yuv444p", ()),
        ("mp4", "libsvtav1", (128, 96), "yuv420p10le", "yuv420p10le", ()),
        ("mp4", "libsvtav1", (127, 95), "yuv420p", "yuv420p", ()),
        ("mkv", "mpeg4", (64, 48), "yuv420p", "yuv420p", ("video_recoded_as_h264",)),
        ("mp4", "libx265", (64, 48), "yuv420p10le", "yuv420p10le", ("video_recoded_as_h264",)),
        ("webm", "libvpx", (64, 48), "yuv420p", "yuv420p", ("video_recoded_as_vp9",)),
        ("mkv", "ffv1", (63, 47), "yuv420p", "yuv444p", ("video_recoded_as_h264", "chroma_in_full_for_odd_size")),
        ("mkv", "ffv1", (64, 48), "yuva420p", "yuv420p", ("video_recoded_as_h264",)),
        ("mkv", "ffv1", (64, 48), "yuv422p12le", "yuv422p10le", ("video_recoded_as_h264",)),
        ("mkv", "ffv1", (64, 48), "bgr0", "yuv444p", ("video_recoded_as_h264",)),
    ],
)
def test_samples_stay_what_they_are_or_a_note_says_so(tmp_path, kind, codec, size, pixels, becomes, notes):
    source = make(tmp_path / "in", kind, codec, size=size, pixels=pixels, times=range(0, 96, 24))

    reader, writer = copy(source, tmp_path / "out")

    after = facts(tmp_path / "out")
    assert (after["size"], after["format"], writer.notes) == (size, becomes, notes)
    first = decoded_rgb(tmp_path / "out")[0].astype(int)
    expected = drawing(0, *size) if pixels != "gray" else decoded_rgb(source)[0].astype(int)
    assert np.abs(first - expected).mean() < 12
    converted = pixels not in (becomes, "yuv420p", "gray")
    assert bool(reader.notes) == converted


def decoded_rgb(path):
    with open_video(path, probe_video(path, LIMITS)) as reader:
        return [frame.rgb() for frame in reader]


@pytest.mark.parametrize(
    ("pixels", "options", "note"),
    [
        ("yuv420p10le", {"x264-params": "mastering-display=G(1,2)B(3,4)R(5,6)WP(7,8)L(90000,1)"},
         "hdr_mastering_data_dropped"),
        ("yuv420p10le", {"x264-params": "cll=1000,400"}, "hdr_mastering_data_dropped"),
        ("yuv420p", {"x264-params": "interlaced=1:tff=1"}, "interlacing_flag_dropped"),
        ("yuv420p", {}, None),
    ],
)  # fmt: skip
def test_what_frames_say_of_themselves_is_lost_and_a_note_says_so(tmp_path, pixels, options, note):
    source = make(tmp_path / "in.mp4", pixels=pixels, options=options, size=(64, 64))
    reader, writer = copy(source, tmp_path / "out.mp4")
    assert (*reader.notes, *writer.notes) == ((note,) if note else ())
    assert probe_video(tmp_path / "out.mp4", LIMITS).dropped == ()


def test_aspect_and_colours_are_kept(tmp_path):
    source = make(tmp_path / "in", colour=(9, 9, 16, 1), pixels="yuv420p10le")
    with av.open(str(source)) as before:
        assert before.streams.video[0].codec_context.color_trc == 16

    copy(source, tmp_path / "out")

    assert facts(tmp_path / "out")["colours"] == (9, 9, 16, 1)


def test_painting_leaves_what_the_decoder_predicts_from(tmp_path):
    source = make(tmp_path / "in")
    plain = decoded_rgb(source)

    with open_video(source, probe_video(source, LIMITS)) as reader:
        painted = []
        for frame in reader:
            painted.append(frame.rgb())
            frame.blacken() if frame.index % 2 else frame.fill(slice(0, 48), slice(0, 64), np.ones((48, 64), bool))
            assert frame.rgb().max() <= 1

    assert all(np.array_equal(a, b) for a, b in zip(painted, plain, strict=True))


def test_what_is_painted_is_in_the_file(tmp_path):
    source = make(tmp_path / "in")
    inside = np.ones((16, 20), bool)

    copy(source, tmp_path / "out", paint=lambda frame: frame.fill(slice(20, 36), slice(10, 30), inside))

    for frame in decoded_rgb(tmp_path / "out"):
        assert frame[22:34, 12:28].max() < 30
        assert frame[:8, :12, 0].min() > 120


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_all_but_the_picture_is_gone(tmp_path, kind):
    source = make(
        tmp_path / "in", kind, sound="aac", subtitles=True, metadata={"title": "Alice at home", "location": "+48+002/"}
    )
    assert b"Alice" in source.read_bytes()

    reader, writer = copy(source, tmp_path / "out")

    with av.open(str(tmp_path / "out")) as masked:
        assert [stream.type for stream in masked.streams] == ["video"]
        assert set(masked.metadata) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}
    written = (tmp_path / "out").read_bytes()
    assert b"Alice" not in written
    assert b"+48+002" not in written
    assert "subtitles_dropped" in reader.notes
    assert "sound_dropped" in writer.notes


@pytest.mark.parametrize(
    ("kind", "codec", "sound"),
    [
        ("mp4", "libx264", "aac"),
        ("mov", "libx264", "aac"),
        ("mkv", "libx264", "aac"),
        ("webm", "libvpx-vp9", "libopus"),
    ],
)
@pytest.mark.parametrize("times", [range(0, 240, 24), range(120, 360, 24)], ids=["together", "picture late"])
def test_sound_that_is_kept_is_the_same_at_the_same_time(tmp_path, kind, codec, sound, times):
    source = make(tmp_path / "in", kind, codec, sound=sound, times=times)

    copy(source, tmp_path / "out", sound="keep")

    assert heard(tmp_path / "out") == heard(source)
    assert facts(tmp_path / "out")["times"] == facts(source)["times"]


def heard(path):
    with av.open(str(path)) as source:
        stream = source.streams.audio[0]
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in source.demux(stream) if packet.size]


@pytest.mark.parametrize(("kind", "movflags"), [("mp4", "+faststart"), ("mov", "+faststart"), ("mkv", None)])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_read_up_to_the_damage(tmp_path, kind, movflags, share):
    whole = make(tmp_path / "whole", kind, times=range(0, 2400, 24), movflags=movflags, options={"crf": "1"})
    data = whole.read_bytes()
    (tmp_path / "in").write_bytes(data[: int(len(data) * share)])

    reader, _ = copy(tmp_path / "in", tmp_path / "out", sound="keep")

    assert reader.damage
    good, cut = facts(whole)["times"], facts(tmp_path / "out")["times"]
    assert 0 < len(cut) < len(good)
    assert set(cut) <= set(good)
    assert cut[:-4] == good[: len(cut) - 4]  # what was decoded ahead of a frame that is lost is still good
    pictures = dict(zip(good, decoded_rgb(whole), strict=True))
    assert all(
        np.array_equal(ours, pictures[time]) for time, ours in zip(cut, decoded_rgb(tmp_path / "in"), strict=True)
    )


@pytest.mark.parametrize(("kind", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("mkv", "libvpx-vp9")])
def test_no_frame_that_a_decoder_guessed_is_handed_on(tmp_path, kind, codec):
    whole = make(tmp_path / "whole", kind, codec, times=range(0, 1440, 24), options={"crf": "1"})
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(3)
    middle = len(data) // 2
    data[middle : middle + len(data) // 8] = rng.bytes(len(data) // 8)
    (tmp_path / "in").write_bytes(data)
    good = dict(zip(map(float, facts(whole)["times"]), decoded_rgb(whole), strict=True))

    probe = probe_video(tmp_path / "in", LIMITS)
    with open_video(tmp_path / "in", probe) as reader:
        read = [(frame.seconds, frame.rgb()) for frame in reader]

    assert reader.damage
    assert 0 < len(read) < len(good)
    for seconds, pixels in read:
        assert np.array_equal(pixels, good[seconds])


def test_an_index_at_the_end_that_is_cut_off_is_damage(tmp_path):
    data = make(tmp_path / "whole").read_bytes()
    (tmp_path / "in").write_bytes(data[: len(data) - 300])

    with pytest.raises(DamagedMedia):
        probe_video(tmp_path / "in", LIMITS)


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


def test_without_commit_nothing_is_left_and_nothing_replaced(tmp_path):
    source = make(tmp_path / "in")
    (tmp_path / "out").write_bytes(b"older")

    def stop(frame):
        if frame.index == 5:
            hidden = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
            assert [path.stat().st_mode & 0o777 for path in hidden] == [0o600]
            raise KeyError

    with pytest.raises(KeyError):
        copy(source, tmp_path / "out", paint=stop)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert (tmp_path / "out").read_bytes() == b"older"


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path):
    source = make(tmp_path / "in")

    with open_video(source, probe_video(source, LIMITS)) as reader, pytest.raises(StorageError):
        VideoWriter(tmp_path / "missing" / "out", reader)


FULL_DISK = """
import resource, sys
from pathlib import Path
from masking.errors import StorageError
from masking.media.video import VideoLimits, VideoWriter, open_video, probe_video
source, target = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
probe = probe_video(source, VideoLimits(10**8, 10**7, 4000, 600))
try:
    with open_video(source, probe) as reader, VideoWriter(target, reader) as writer:
        for frame in reader:
            writer.write(frame)
        writer.commit()
except StorageError as error:
    sys.stdout.write(str(error))
"""


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_disk_that_fills_up_is_a_clear_error_and_leaves_no_file(tmp_path, kind):
    source = make(tmp_path / "in", kind, times=range(0, 4800, 24), size=(320, 240), options={"crf": "1"})

    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, source, tmp_path / "out"],
        capture_output=True, text=True, timeout=60, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip

    assert done.stdout == "the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_mp4_can_be_played_while_it_loads(tmp_path):
    copy(make(tmp_path / "in"), tmp_path / "out")

    data = (tmp_path / "out").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


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


def test_other_readers_take_the_file(tmp_path):
    copy(make(tmp_path / "in"), tmp_path / "out")

    with av.open(str(tmp_path / "out"), options={"err_detect": "explode"}) as source:
        try:
            assert len(list(source.decode(video=0))) == 10
        except FFmpegError as error:
            pytest.fail(str(error))
