import av
import numpy as np
import pytest
from av.error import FFmpegError

from masking.media.video import open_video, probe_video
from tests.masking.media.videos import CODECS, LIMITS, copy, decoded_rgb, drawing, facts, length, make


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


@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("sides", "told"),
    [((0.7071, 0.7071, -0.7071, 0.7071), True), ((0, 0, 0, 0), True), ((2, 0, 0, 1), True), ((1, 0, 0, 1), False)],
)
def test_a_rotation_that_is_no_quarter_turn_is_left_out_and_a_note_says_so(tmp_path, kind, sides, told):
    source = make(tmp_path / "in", kind, times=range(0, 72, 24))
    data = source.read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # behind version, times, number, duration, layer and volume
    a, b, c, d = (round(side * 65536).to_bytes(4, "big", signed=True) for side in sides)
    source.write_bytes(data[:at] + a + b + bytes(4) + c + d + data[at + 20 :])

    reader, writer = copy(source, tmp_path / "out")

    assert (*reader.notes, *writer.notes) == (("rotation_simplified",) if told else ())
    assert facts(tmp_path / "out")["rotation"] == 0


@pytest.mark.parametrize(
    ("kind", "codec", "pixels", "told"),
    [
        ("mov", "prores_ks", "yuva444p10le", True),
        ("mov", "prores_ks", "yuv444p10le", False),
        ("mov", "png", "rgba", True),
        ("mkv", "ffv1", "yuva420p", True),
    ],
)
def test_transparency_is_left_out_and_a_note_says_so(tmp_path, kind, codec, pixels, told):
    source = make(tmp_path / "in", kind, codec, pixels=pixels, times=range(0, 72, 24))
    reader, _ = copy(source, tmp_path / "out")
    assert ("alpha_dropped" in reader.notes) == told
    assert "alpha" not in probe_video(tmp_path / "out", LIMITS).dropped


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
    assert {"subtitles_dropped", "metadata_dropped"} <= set(reader.notes)
    assert "sound_dropped" in writer.notes


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9")]
)
def test_tags_are_noted_where_they_tell_more_than_how_the_file_was_written(tmp_path, kind, codec):
    plain, tagged = (
        copy(make(tmp_path / "in", kind, codec, metadata=tags), tmp_path / "out")[0].notes
        for tags in (None, {"creation_time": "2026-05-01T12:00:00Z"})
    )
    assert (plain, tagged) == ((), ("metadata_dropped",))
    assert probe_video(tmp_path / "out", LIMITS).dropped == ()


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


def test_an_mp4_can_be_played_while_it_loads(tmp_path):
    copy(make(tmp_path / "in"), tmp_path / "out")

    data = (tmp_path / "out").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_other_readers_take_the_file(tmp_path):
    copy(make(tmp_path / "in"), tmp_path / "out")

    with av.open(str(tmp_path / "out"), options={"err_detect": "explode"}) as source:
        try:
            assert len(list(source.decode(video=0))) == 10
        except FFmpegError as error:
            pytest.fail(str(error))
