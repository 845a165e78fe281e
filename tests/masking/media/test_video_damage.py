import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from masking.errors import DamagedMedia, StorageError
from masking.media.video import VideoWriter, open_video, probe_video
from tests.masking.media.videos import LIMITS, copy, decoded_rgb, facts, make


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
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))  # a third of what one processor makes of it
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
        capture_output=True, text=True, timeout=600, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip

    assert done.stdout == "the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("lost", [1, 3])
def test_frames_that_a_decoder_leaves_out_without_a_word_are_told(tmp_path, lost):
    made = make(tmp_path / "made", times=range(0, 960, 24), options={"bf": "0", "g": "10"})
    data = bytearray(made.read_bytes())
    with av.open(str(made)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
    for packet in packets[-lost:]:  # what threads of a decoder find when it is asked for the rest, it keeps to itself
        data[packet.pos + 8 : packet.pos + packet.size] = bytes(packet.size - 8)
    (tmp_path / "in").write_bytes(data)

    with open_video(tmp_path / "in", probe_video(tmp_path / "in", LIMITS)) as reader:
        read = [frame.index for frame in reader]

    assert reader.damage
    assert 0 < len(read) < len(packets)


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("mp4", "libx264", {"bf": "3", "g": "12"}),
        ("mkv", "libx264", {"bf": "3", "x264-params": "open-gop=1:keyint=8"}),
        ("mp4", "libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
        ("mp4", "libx265", {"x265-params": "log-level=none"}),
        ("webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
        ("webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
        ("mkv", "libsvtav1", {"preset": "10"}),
        ("mp4", "mpeg4", {"bf": "2"}),
    ],
)
def test_of_whole_files_no_frame_is_missing(tmp_path, kind, codec, options):
    made = make(tmp_path / "made", kind, codec, times=range(0, 1200, 24), options=options)

    with open_video(made, probe_video(made, LIMITS)) as reader:
        read = sum(1 for _ in reader)

    assert (read, reader.damage) == (50, None)


def test_columns_that_are_stored_and_not_to_be_shown_are_not_shown(tmp_path):
    plain = make(tmp_path / "plain", "mkv", times=range(0, 240, 24), size=(128, 96), options={"bf": "0"})
    with av.open(str(plain)) as source, av.open(str(tmp_path / "in"), "w", format="matroska") as target:
        taken = source.streams.video[0]
        stream = target.add_stream_from_template(taken)
        crop = BitStreamFilterContext("h264_metadata=crop_left=24:crop_top=6", taken, stream)
        for packet in source.demux(taken):
            for made in crop.filter(packet if packet.size else None):
                made.stream = stream
                target.mux(made)

    probe = probe_video(tmp_path / "in", LIMITS)
    with open_video(tmp_path / "in", probe) as reader:
        shown = [frame.rgb() for frame in reader]

    assert (probe.width, probe.height) == (104, 90)
    assert all(np.array_equal(ours, whole[6:, 24:]) for ours, whole in zip(shown, decoded_rgb(plain), strict=True))
