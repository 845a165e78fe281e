"""Code what was painted, and copy the groups of pictures in which nothing was: one H.264 stream out of both.

Each kind of stretch has parameter sets of its own ids, which stand in the header and again before each IDR picture.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from av import VideoFrame as Picture
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from masking.media.h264 import IDR, PROFILES, SLICE, Sequence, Sets, byte_stream, kind, stream_units
from masking.media.video_codec import Coding
from masking.media.video_groups import Group, Groups, NotJoinable
from masking.media.video_probe import VideoProbe

_IDS: Final = 32


def joint(path: Path, probe: VideoProbe, coding: Coding) -> tuple[Groups, Coding]:
    """Open the packets of a file, and say how frames are coded that fit between them.

    These have profile, level and references of the source and no frames out of order, in parameter sets of other ids.

    Raises:
        NotJoinable: packets cannot be copied.
    """
    groups = Groups(path, probe)
    if coding.encoder != "libx264" or coding.notes or coding.layout.name != groups.layout:
        groups.close()
        raise NotJoinable("frames are coded in another form")
    known = groups.sequence
    number = next(number for number in range(_IDS) if number not in groups.taken)
    options = {
        "profile": PROFILES[known.profile],
        "level": f"{known.level / 10:g}",
        # A decoder that makes room for another number of frames may lose the last one of those that it has.
        "refs": str(known.references),
        "bf": "0",
        "x264-params": f"sps-id={number}",
    }
    return groups, replace(coding, options=coding.options | options)


class Join:
    """Takes the frames of a video in order, and gives the packets of the joint stream, in order.

    A group is copied when all of its frames came untouched; until then nothing but its packets is held. Where one of
    its frames is touched, those before it are decoded from these packets once more.

    Args:
        groups: the packets of the source.
        encoder: set up for what `joint` says, and opened here.
        coding: what `joint` says.

    Attributes:
        header: the parameter sets of both kinds of stretch, a byte stream.
        copied: how many frames were copied.

    Raises:
        NotJoinable: the encoder does not give what it is asked for; so do the methods, where the frames are not those
            of the packets.
    """

    def __init__(self, groups: Groups, encoder: VideoCodecContext, coding: Coding) -> None:
        encoder.open()
        self.copied = 0
        self._groups, self._rest = groups, iter(groups)
        self._first, self._coding = encoder, coding
        self._sets = _own_sets(encoder, groups)
        known = groups.sets
        self.header = byte_stream((known.sequence, self._sets.sequence, known.picture, self._sets.picture))
        self._spare: VideoCodecContext | None = encoder
        self._running: VideoCodecContext | None = None
        self._group, self._given = Group(), 0
        self._inside: deque[tuple[int, int]] = deque()  # times of the frames that the encoder holds

    def write(self, picture: Picture, *, untouched: bool) -> Iterator["Packet[VideoStream]"]:
        """Take a frame, and yield the packets that are ready."""
        if self._given == len(self._group.times):
            yield from self._copies()
            self._group, self._given = next(self._rest, Group()), 0
        if not self._group.times or picture.pts != self._group.times[self._given][0]:
            raise NotJoinable("a frame is not where its packet says")
        times = self._group.times[self._given]
        if self._group.data is not None and not untouched:
            held, self._group = self._group, Group(self._group.times)
            for again, known in zip(self._groups.pictures(held, self._given), held.times, strict=False):
                yield from self._code(again, known)
        if self._group.data is None:
            yield from self._code(picture, times)
        self._given += 1

    def finish(self) -> Iterator["Packet[VideoStream]"]:
        """Yield the packets that are left."""
        if self._given != len(self._group.times) or next(self._rest, None) is not None:
            raise NotJoinable("there are fewer frames than packets")
        yield from self._copies()
        yield from self._coded()

    def _copies(self) -> Iterator["Packet[VideoStream]"]:
        """Copy the group, which is complete, where its data are still held."""
        if self._group.data is None:
            return
        yield from self._coded()
        for number, (data, times) in enumerate(zip(self._group.data, self._group.times, strict=True)):
            yield self._packet(data, times, None if number else self._groups.sets)
        self.copied += len(self._group.times)

    def _code(self, picture: Picture, times: tuple[int, int]) -> Iterator["Packet[VideoStream]"]:
        if self._running is None:
            self._running, self._spare = self._spare or self._another(), None
        self._inside.append(times)
        yield from self._cleaned(self._running.encode(picture))

    def _coded(self) -> Iterator["Packet[VideoStream]"]:
        """Give what the encoder holds; the next frame has a fresh one, and begins with an IDR picture."""
        if self._running is not None:
            yield from self._cleaned(self._running.encode(None))
            self._running = None
        if self._inside:
            raise NotJoinable("the encoder keeps frames")

    def _cleaned(self, packets: list["Packet[VideoStream]"]) -> Iterator["Packet[VideoStream]"]:
        for packet in packets:
            times = self._inside.popleft()
            units = [unit for unit in stream_units(bytes(packet)) if kind(unit) in (SLICE, IDR)]
            if packet.pts != times[0] or not units:
                raise NotJoinable("the encoder gives frames in another order")
            yield self._packet(byte_stream(units), times, self._sets if kind(units[0]) == IDR else None)

    def _packet(self, data: bytes, times: tuple[int, int], sets: Sets | None) -> "Packet[VideoStream]":
        """Make a packet; an IDR picture has the parameter sets before it, since some decoders keep only one."""
        packet = cast("Packet[VideoStream]", Packet(data if sets is None else sets.stream + data))
        packet.pts, packet.dts = times
        packet.time_base, packet.is_keyframe = self._groups.unit, sets is not None
        return packet

    def _another(self) -> VideoCodecContext:
        first, made = self._first, cast(VideoCodecContext, CodecContext.create(self._coding.encoder, "w"))
        made.options = dict(self._coding.options)
        made.width, made.height, made.pix_fmt = first.width, first.height, first.pix_fmt
        made.time_base, made.framerate = first.time_base, first.framerate
        made.colorspace, made.color_range = first.colorspace, first.color_range
        made.color_primaries, made.color_trc = first.color_primaries, first.color_trc
        if first.sample_aspect_ratio:
            made.sample_aspect_ratio = first.sample_aspect_ratio
        made.flags, made.thread_count = first.flags, first.thread_count
        made.open()
        if _own_sets(made, self._groups) != self._sets:
            raise NotJoinable("the encoder changes its parameter sets")
        return made


def _own_sets(encoder: VideoCodecContext, groups: Groups) -> Sets:
    try:
        sets = Sets.of(stream_units(encoder.extradata or b""))
        made, numbers = Sequence.of(sets.sequence), sets.numbers
    except ValueError as error:
        raise NotJoinable("the encoder's stream is out of the ordinary") from error
    if replace(made, number=groups.sequence.number) != groups.sequence or numbers & groups.taken:
        raise NotJoinable("the encoder's stream is of another kind than the source")
    return sets
