"""Groups of pictures of an H.264 file that can be had out of it as they are, one after the other, at bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
from av import VideoFrame as Picture
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from masking.media.h264 import DROPPABLE, IDR, SLICE, Sequence, byte_stream, configuration, kind, sample_units
from masking.media.video_probe import VideoProbe, open_container
from masking.media.video_sniff import first_break

FRAMES: Final = 600
"""Frames that a group may have to be kept."""
BYTES: Final = 32 << 20
"""Bytes that it may have."""
_LAYOUTS: Final = ("yuv420p", "yuvj420p")


class NotJoinable(Exception):  # no fault: the video is coded anew
    """Packets of this file cannot be copied into another; a plain coding of all of it can be had all the same."""


@dataclass(slots=True)
class Group:
    """Frames in a row, in one order for decoding and showing.

    Attributes:
        times: when each is shown and when it is decoded, in units of the stream.
        data: its slices as a byte stream, and nothing else; None where the frames cannot be decoded alone, are too
            many, or are not held.
    """

    times: list[tuple[int, int]] = field(default_factory=list)
    data: list[bytes] | None = None


class Groups:
    """Reads a file beside whoever decodes it, a group at a time.

    Args:
        path: the file.
        probe: what it is.
        frames: how many frames of a group are kept.
        room: how many bytes of it are.

    Attributes:
        sets: the parameter sets of the stream.
        sequence: what they say of it.
        taken: the ids that they have.
        unit: seconds of one unit of the times.
        layout: the samples, as FFmpeg names them.

    Raises:
        NotJoinable: it is out of the ordinary in any way.
    """

    def __init__(self, path: Path, probe: VideoProbe, *, frames: int = FRAMES, room: int = BYTES) -> None:
        known = probe.codec == "h264" and probe.container in ("mp4", "mov", "mkv")
        if not known or not (probe.pixel_format == probe.layout.name and probe.layout.name in _LAYOUTS):
            raise NotJoinable("only plain H.264 is copied")
        if first_break(path, probe.container) is not None:
            raise NotJoinable("the file is damaged")
        self._path, self._probe, self._frames, self._room = path, probe, frames, room
        self._source = open_container(path, probe.container, probe.max_pixels)
        self._stream = cast(VideoStream, self._source.streams[probe.stream])
        self.unit, self.layout = self._stream.time_base or Fraction(1, av.time_base), probe.layout.name
        try:
            self.sets, self._width = configuration(self._stream.codec_context.extradata or b"")
            self.sequence = Sequence.of(self.sets.sequence)
            self.taken = self.sets.numbers
        except ValueError as error:
            self.close()
            raise NotJoinable(str(error)) from error
        if self.sequence.size != probe.stored_size:
            self.close()
            raise NotJoinable("the picture is shown in part")

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __iter__(self) -> Iterator[Group]:
        """Yield the groups; once.

        Raises:
            NotJoinable: the file is out of the ordinary.
        """
        group, size = Group(), 0
        for times, units in self._samples():
            starts = kind(units[0]) == IDR
            if group.times and (starts or len(group.times) == self._frames):
                yield _whole(group, ended=starts)
                group, size = Group(), 0
            if starts:
                group.data = []
            group.times.append(times)
            if group.data is not None:
                group.data.append(byte_stream(units))
                size += len(group.data[-1])
                group.data = group.data if size <= self._room else None
        yield _whole(group, ended=True)

    def pictures(self, group: Group, count: int) -> Iterator[Picture]:
        """Decode the first frames of a group whose data are held; each has its time.

        Raises:
            NotJoinable: they are not what they were.
        """
        context = CodecContext.create("h264", "r")
        context.options = {"max_pixels": str(self._probe.max_pixels)}
        done = 0
        for (shown, _), picture in zip(group.times[:count], self._decoded(context, group), strict=False):
            alike = picture.format.name == self.layout and not picture.is_corrupt
            if not alike or (picture.width, picture.height) != self._probe.stored_size:
                raise NotJoinable("a frame is decoded in another way")
            picture.pts, picture.time_base, picture.pict_type = shown, self.unit, 0
            yield picture
            done += 1
        if done != count:
            raise NotJoinable("frames of a group are missing")

    def _decoded(self, context: VideoCodecContext, group: Group) -> Iterator[Picture]:
        try:
            for number, data in enumerate(group.data or ()):
                yield from context.decode(Packet(data if number else self.sets.stream + data))
            yield from context.decode(None)
        except FFmpegError as error:
            raise NotJoinable("a group cannot be decoded again") from error

    def _samples(self) -> Iterator[tuple[tuple[int, int], list[bytes]]]:
        """Yield the times of each packet, and its slices."""
        before: tuple[int, int] | None = None
        try:
            for packet in self._source.demux(self._stream):
                if packet.size:
                    times = _times(packet, before)
                    yield times, self._slices(packet, first=before is None)
                    before = times
        except (FFmpegError, ValueError) as error:
            raise NotJoinable("a packet is out of the ordinary") from error

    def _slices(self, packet: "Packet[VideoStream]", *, first: bool) -> list[bytes]:
        units = sample_units(bytes(packet), self._width)
        known = (self.sets.sequence, self.sets.picture)
        slices = [unit for unit in units if kind(unit) not in DROPPABLE and unit not in known]
        kinds = {kind(unit) for unit in slices}
        if kinds not in ({IDR}, {SLICE}) or (first and kinds != {IDR}):
            raise ValueError("there is more than slices of one kind, or nothing")
        return slices


def _whole(group: Group, *, ended: bool) -> Group:
    """Give the group, without data where it is only a part of one, or a frame that another IDR follows at once."""
    return group if ended and len(group.times) > 1 else Group(group.times)


def _times(packet: "Packet[VideoStream]", before: tuple[int, int] | None) -> tuple[int, int]:
    """Tell when a frame is shown and when it is decoded: both later than the frame before."""
    shown, decoded = packet.pts, packet.dts
    odd = packet.is_corrupt or packet.is_discard or packet.has_sidedata("new_extradata")
    if odd or shown is None or decoded is None or decoded > shown:
        raise ValueError("a packet is not shown as it is")
    if before is not None and (shown <= before[0] or decoded <= before[1]):
        raise ValueError("frames are decoded in another order than they are shown")
    return shown, decoded


def joinable(path: Path, probe: VideoProbe) -> bool:
    """Tell by reading all of a file's packets whether ``Groups`` takes it, and has a group that may be copied."""
    try:
        groups = Groups(path, probe)
    except NotJoinable:
        return False
    try:
        return sum(group.data is not None for group in groups) > 0
    except NotJoinable:
        return False
    finally:
        groups.close()
