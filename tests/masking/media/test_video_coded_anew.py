"""Videos out of the ordinary of which no group is copied: all of them is coded anew."""

import av
import pytest

from tests.masking.media.group_films import (
    GROUP,
    TIMES,
    counted,
    film,
    masked,
    pictures,
    rewritten,
    samples,
)
from tests.masking.media.videos import facts, make


def other_sets(number, data, other):
    """Put the parameter sets and the slices of another stream in place of the second group."""
    return other[number] if GROUP <= number < 2 * GROUP else data


ODD = {
    "frames shown in another order": {"options": {"bf": "2"}},
    "one group, refreshed a stripe at a time": {"options": {"x264-params": "keyint=8:intra-refresh=1:scenecut=0"}},
    "every frame an IDR": {"options": {"x264-params": "keyint=1"}},
    "deep": {"pixels": "yuv420p10le"},
    "chroma in full": {"pixels": "yuv444p"},
    "interlaced": {"options": {"flags": "+ildct+ilme"}},
    "another codec": {"codec": "libx265"},
    "another codec of this container": {"kind": "webm", "codec": "libvpx-vp9"},
}


@pytest.mark.parametrize("odd", ODD)
def test_what_is_out_of_the_ordinary_is_coded_anew(tmp_path, odd):
    more = dict(ODD[odd])
    source = make(tmp_path / "in", times=TIMES, **more) if more.get("codec") else film(tmp_path / "in", **more)
    coded = masked(source, tmp_path / "coded", 11, untouched="code")

    joint = masked(source, tmp_path / "joint", 11)

    assert joint.copied == 0
    assert facts(tmp_path / "joint") == facts(tmp_path / "coded")
    assert joint.notes == coded.notes


def test_a_stream_whose_parameters_change_on_the_way_is_coded_anew(tmp_path):
    plain = film(tmp_path / "plain.mp4")
    other, record = samples(film(tmp_path / "other.mp4", options={"refs": "3", "x264-params": "keyint=8:cabac=0"}))
    length_of = int.from_bytes(record[6:8], "big")
    sequence, picture = record[8 : 8 + length_of], record[8 + length_of + 3 :]
    picture = picture[: int.from_bytes(record[8 + length_of + 1 : 8 + length_of + 3], "big")]

    def change(number, data):
        if number == GROUP:
            return counted(sequence) + counted(picture) + other[number]
        return other_sets(number, data, other)

    source = rewritten(plain, tmp_path / "in.mp4", change)

    report = masked(source, tmp_path / "out.mp4", 11)

    assert report.copied == 0
    assert len(pictures(tmp_path / "out.mp4")) == report.frames


def test_frames_that_an_edit_list_hides_are_copied_nowhere(tmp_path):
    plain = film(tmp_path / "plain.mp4")
    source = rewritten(plain, tmp_path / "in.mp4", lambda number, data: data, shift=4 * 24)
    hidden = 40 - len(pictures(source))
    assert hidden > 0

    report = masked(source, tmp_path / "out.mp4", 20)

    assert (report.copied, report.frames) == (0, 40 - hidden)


def test_a_video_that_breaks_off_is_coded_anew_as_far_as_it_goes(tmp_path):
    whole = film(tmp_path / "whole.mp4", movflags="faststart")
    data = whole.read_bytes()
    source = tmp_path / "in.mp4"
    source.write_bytes(data[: len(data) * 3 // 4])

    report = masked(source, tmp_path / "out.mp4", 3)

    assert report.damage
    assert report.needs_review
    assert report.copied == 0
    assert 0 < report.frames < 40
    assert len(pictures(tmp_path / "out.mp4")) == report.frames


def test_damage_that_only_a_decoder_sees_has_all_coded_anew(tmp_path):
    plain = film(tmp_path / "plain.mp4", options={"crf": "1"})

    def change(number, data):
        return data if number != 21 else data[:6] + bytes(byte ^ 0x5A for byte in data[6:])

    source = rewritten(plain, tmp_path / "in.mp4", change)

    report = masked(source, tmp_path / "out.mp4", 3)

    assert report.damage
    assert report.needs_review
    assert report.copied == 0
    assert GROUP < report.frames < 40
    assert len(pictures(tmp_path / "out.mp4")) == report.frames


def test_a_group_that_is_too_long_to_be_held_is_coded_anew(tmp_path):
    options = {"x264-params": "keyint=10000:scenecut=0", "preset": "ultrafast", "bf": "0"}
    source = make(tmp_path / "in.mkv", "mkv", times=range(0, 640 * 24, 24), options=options, size=(32, 32))
    with av.open(str(source)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) == 1

    report = masked(source, tmp_path / "out.mkv")

    assert (report.frames, report.copied) == (640, 0)
