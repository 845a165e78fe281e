"""Groups of pictures without a mask are copied, and nothing but their slices."""

import json
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from masking.errors import ModelError, PolicyError
from masking.face.procedural.clip import clip
from masking.face.procedural.identity import Identity
from masking.media.h264 import Sequence, kind, sample_units
from masking.media.probe import ImageLimits
from masking.media.video import probe_video
from masking.media.video_groups import Groups
from masking.policy import VideoPolicy
from masking.types import Faces
from masking.verify import Judge, read_report, verify
from masking.video import mask_video
from tests.masking.media.group_films import (
    GROUP,
    MESSAGE,
    PLAIN,
    VARIABLE,
    counted,
    film,
    masked,
    pictures,
    rewritten,
    samples,
)
from tests.masking.media.videos import LIMITS, facts, length

IMAGES = ImageLimits(10_000_000, 10_000_000, 8_000)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_groups_without_a_mask_are_copied_and_the_others_masked(tmp_path, container, profile):
    source = film(tmp_path / f"in.{container}", container, options={"profile": profile})
    target = tmp_path / f"out.{container}"

    report = masked(source, target, 11, 12, 30)

    before, after = pictures(source), pictures(target)
    assert (report.frames, report.copied) == (40, 24)
    assert len(after) == len(before) == 40
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        assert (old == new).all() == (number // GROUP not in (1, 3)), number
        assert (new[20:28, 28:36].max() < 40) == (number in (11, 12, 30)), number
    assert facts(target) == facts(source)
    assert length(target) == length(source)


def test_a_copy_holds_slices_and_nothing_that_was_said_beside_them(tmp_path):
    plain = film(tmp_path / "plain.mp4")
    odd = counted(MESSAGE) + counted(b"\x09\xf0") + counted(b"\x0c\xff\x80")  # with a delimiter and filler
    source = rewritten(plain, tmp_path / "in.mp4", lambda number, data: odd + data)
    target = tmp_path / "out.mp4"

    report = masked(source, target, 11)

    assert report.copied == 32
    assert b"Alice" in source.read_bytes()
    assert b"x264" in source.read_bytes()
    assert b"Alice" not in target.read_bytes()
    assert b"x264" not in target.read_bytes()
    packets, record = samples(target)
    firsts = []
    for packet in packets:
        kinds = [kind(unit) for unit in sample_units(packet, 4)]
        assert kinds in ([1], [7, 8, 5])
        firsts.append(len(kinds) > 1)
    assert [number for number, first in enumerate(firsts) if first] == [0, 8, 16, 24, 32]
    # Both kinds of stretch have their parameter sets in the header too, and nothing else is there.
    assert record[5] & 31 == 2
    sets = {unit for packet in packets for unit in sample_units(packet, 4) if kind(unit) in (7, 8)}
    assert len(sets) == 4
    # Decoders make room by what these say: between stretches it stays the same.
    told = [Sequence.of(unit) for unit in sets if kind(unit) == 7]
    assert replace(told[0], number=told[1].number) == told[1] != told[0]
    assert all(counted(unit)[2:] in record for unit in sets)
    assert len(record) <= 7 + sum(2 + len(unit) for unit in sets) + 4


@pytest.mark.parametrize("frames", [(), (0,), (39,), (7, 8), (0, 8, 16, 24, 32), (7, 23, 39)])
def test_whichever_frames_are_masked_all_are_there_in_their_order(tmp_path, frames):
    source = film(tmp_path / "in.mp4", times=VARIABLE)
    target = tmp_path / "out.mp4"

    report = masked(source, target, *frames)

    touched = {number // GROUP for number in frames}
    assert report.copied == 40 - GROUP * len(touched)
    before, after = pictures(source), pictures(target)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        away = np.abs(new[:48, :10].astype(int) - old[:48, :10].astype(int)).mean()
        assert away <= (4 if number // GROUP in touched else 0), number
    assert facts(target) == facts(source)


def test_no_face_is_copied_and_a_second_look_finds_none(tmp_path, detector):
    rng = np.random.default_rng(5)
    shot = [each.pixels for each in clip(rng, [Identity.draw(rng)], size=(320, 240), shots=1, frames=20)]
    wall = np.kron(rng.integers(60, 110, (15, 20, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    empty = [np.roll(wall, 3 * number, axis=1) for number in range(24)]
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("libx264", 25, options=PLAIN)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number, pixels in enumerate([*empty, *shot, *empty]):
            picture = av.VideoFrame.from_ndarray(pixels, "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())

    report = mask_video(source, target, VideoPolicy(untouched="copy"), detector, LIMITS)

    assert report.faces >= 1
    assert 16 <= report.copied <= 48
    before, after = pictures(source), pictures(target)
    copied = [(old == new).all() for old, new in zip(before, after, strict=True)]
    covered = {number for track in report.tracks for number in range(track.first, track.last + 1)}
    assert covered >= set(range(24, 44))
    assert not any(copied[number] for number in covered)
    assert sum(copied) == report.copied
    judge = Judge(detector, IMAGES, LIMITS)
    assert verify(source, target, read_report(json.dumps(report.as_dict()).encode()), judge).findings == ()


def test_what_is_asked_for_is_told_and_coding_all_is_the_default(tmp_path):
    source = film(tmp_path / "in.mp4")

    report = masked(source, tmp_path / "out.mp4", 11, untouched="code")

    assert report.copied == 0
    assert VideoPolicy().untouched == "code"
    key = b"of the test, and of nobody else."
    assert VideoPolicy(key=key, untouched="copy").digest != VideoPolicy(key=key).digest
    with pytest.raises(PolicyError, match="untouched"):
        VideoPolicy(untouched="keep")


@pytest.mark.parametrize(
    "more",
    [
        {"turn": (90,)},
        {"kind": "mov", "turn": (180, True)},
        {"kind": "mkv", "turn": (270,)},
        {"times": VARIABLE},
        {"times": VARIABLE, "kind": "mkv"},
        {"times": range(480, 480 + 40 * 24, 24)},
        {"colour": (1, 1, 1, 2), "pixels": "yuvj420p"},
        {"sound": "aac"},
        {"kind": "mkv", "sound": "libopus"},
        {"options": {"slices": "2"}},
        {"options": {"aspect": "2:1"}},
        {"movflags": "frag_keyframe+empty_moov"},
    ],
)
def test_a_joint_video_is_in_all_else_like_one_that_is_coded_anew(tmp_path, more):
    source = film(tmp_path / "in", **more)
    kept = {"sound": "keep"} if "sound" in more else {}
    coded = masked(source, tmp_path / "coded", 11, untouched="code", **kept)

    joint = masked(source, tmp_path / "joint", 11, **kept)

    assert (coded.copied, joint.copied) == (0, 32)
    told = [facts(tmp_path / name) for name in ("joint", "coded")]
    for each in told:
        del each["duration"]  # as FFmpeg reads it, which depends on the order of decoding
    assert told[0] == told[1]
    assert length(tmp_path / "joint") == length(tmp_path / "coded")
    assert joint.notes == coded.notes
    if kept:
        heard = []
        for name in ("in", "coded", "joint"):
            with av.open(str(tmp_path / name)) as file:
                track = file.streams.audio[0]
                heard.append([(p.pts * p.time_base, bytes(p)) for p in file.demux(track) if p.size])
        assert heard[0] == heard[1] == heard[2]


def test_parameter_sets_that_are_only_repeated_do_no_harm(tmp_path):
    plain = film(tmp_path / "plain.mp4")
    groups = Groups(plain, probe_video(plain, LIMITS))
    groups.close()
    again = counted(groups.sets.sequence) + counted(groups.sets.picture)
    source = rewritten(plain, tmp_path / "in.mp4", lambda number, data: data if number % GROUP else again + data)

    report = masked(source, tmp_path / "out.mp4", 11)

    assert report.copied == 32
    assert facts(tmp_path / "out.mp4") == facts(plain)


@pytest.mark.parametrize(("room", "frames"), [(600, 600), (1 << 20, 7)])
def test_no_more_of_a_group_is_held_than_there_is_room_for(tmp_path, room, frames):
    source = film(tmp_path / "in.mp4", size=(128, 96))

    with_room = Groups(source, probe_video(source, LIMITS))
    without = Groups(source, probe_video(source, LIMITS), frames=frames, room=room)

    assert [len(group.data or ()) for group in with_room] == [GROUP] * 5
    held = list(without)
    assert all(group.data is None for group in held)
    assert sum(len(group.times) for group in held) == 40
    with_room.close()
    without.close()


def test_a_run_that_fails_on_the_way_leaves_no_file(tmp_path):
    source = film(tmp_path / "in.mp4")
    looks = iter(range(3))

    def failing(pixels, threshold):
        if next(looks, None) is None:
            raise ModelError("no answer")
        return Faces.none()

    with pytest.raises(ModelError):
        masked(source, tmp_path / "out.mp4", 30, detector=failing)

    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_times_stay_exact_where_a_unit_is_a_thousandth(tmp_path):
    source = film(tmp_path / "in.mkv", "mkv", tick=Fraction(1, 1000), times=[number * 33 for number in range(40)])

    report = masked(source, tmp_path / "out.mkv", 0, 39)

    assert report.copied == 24
    assert facts(tmp_path / "out.mkv") == facts(source)
