"""Read a video frame by frame, in order of presentation, up to its end or to the first damage."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
from av import VideoFrame as Picture
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from masking.errors import DamagedMedia
from masking.media.video_frame import VideoFrame, View, cut
from masking.media.video_layout import is_rgb
from masking.media.video_missing import MissingFrames
from masking.media.video_probe import VideoProbe, open_container, prepare
from masking.media.video_sniff import first_break


class VideoReader:
    """An iterator over the frames of a video, to be used as a context manager; only some frames are held at a time.

    Reading ends at the first packet or frame that is corrupt, with ``damage`` set: what a decoder guesses where data
    are missing is never handed on. Corrupt frames before the first good one, as at the start of a stream that was cut
    anywhere, are left out and noted. Frames that the decoder leaves out by itself are damage, too, told at the end.

    Attributes:
        probe: what the video is.
        path: where it is.
        damage: why frames are missing, at the end of the video or on the way; None while none are.
        time_base: seconds of one unit of the frames' times.
        last_duration: how long the last frame is shown, in units of ``time_base``, once reading is over; 0 if unknown.
        aspect: width of a stored pixel by its height; 0 where the file does not tell.
    """

    def __init__(self, path: Path, probe: VideoProbe) -> None:
        self.path = path
        self.probe = probe
        self.damage: str | None = None
        self._notes: dict[str, None] = dict.fromkeys(f"{name}_dropped" for name in probe.dropped)
        self._view = View(probe.layout, probe.turn, probe.colour)
        self._converter = VideoReformatter()
        self.last_duration = 0
        self._last: int | None = None
        self._break = first_break(path, probe.container)
        self._source = open_container(path, probe.container, probe.max_pixels)
        self._stream = cast(VideoStream, self._source.streams[probe.stream])
        self._missing = MissingFrames(probe.codec)
        context = prepare(self._stream, probe.max_pixels)
        context.thread_type = "AUTO"
        context.thread_count = 0
        self.time_base = self._stream.time_base or Fraction(1, av.time_base)
        self.aspect = self._stream.sample_aspect_ratio

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as it was in the file, as far as it was read."""
        return tuple(self._notes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; frames that were given stay valid."""
        self._source.close()

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the frames; once.

        Raises:
            DamagedMedia: there is not one good frame.
        """
        index, start = 0, 0
        for picture in self._good():
            frame_time = self._time(picture)
            if index == 0:
                start = frame_time
            picture.pts, picture.time_base = frame_time, self.time_base
            seconds = float((frame_time - start) * self.time_base)
            yield VideoFrame(self._shown(picture), self._view, index, seconds)
            index += 1
        if index == 0:
            raise DamagedMedia("no frame of the video can be decoded")
        if self.damage is None and self._break is not None:
            self.damage = "the file ends too early"
        if self.damage is None and self._missing.count:
            self.damage = f"frames that cannot be decoded: {self._missing.count}"

    def _good(self) -> Iterator[Picture]:
        seen = 0
        for picture in self._pictures():
            if picture.is_corrupt:
                if seen:
                    self.damage = f"the data are corrupt after frame {seen - 1}"
                    return
                self._notes["leading_corrupt_frames_dropped"] = None
                continue
            seen += 1
            yield picture

    def _pictures(self) -> Iterator[Picture]:
        decoded = False
        for packet in self._packets():
            if packet is not None:
                self._missing.sent(packet)
            try:
                pictures = self._stream.decode(packet)
            except FFmpegError:
                if packet is not None and not decoded and not packet.is_keyframe:
                    continue
                self.damage = self.damage or "the data of a frame cannot be decoded"
                return
            decoded = decoded or bool(pictures)
            for picture in pictures:
                self._missing.given(picture)
                yield picture

    def _packets(self) -> Iterator["Packet[VideoStream] | None"]:
        """Yield the packets up to the first damage, then None, by which the decoder gives what it still holds."""
        try:
            for packet in self._source.demux(self._stream):
                if self._is_past_damage(packet):
                    self.damage = "the file is cut off or overwritten"
                    break
                if packet.size:
                    # Only the last packet in the order of decoding has no successor that its duration is guessed by.
                    self.last_duration = packet.duration or 0
                    yield packet
        except FFmpegError:
            self.damage = "the file cannot be read to its end"
        yield None

    def _is_past_damage(self, packet: "Packet[VideoStream]") -> bool:
        return packet.is_corrupt or (self._break is not None and (packet.pos or 0) >= self._break)

    def _time(self, picture: Picture) -> int:
        time = picture.pts
        if time is None or (self._last is not None and time <= self._last):
            time = 0 if self._last is None else self._last + 1
            self._notes["times_repaired"] = None
        self._last = time
        return time

    def _shown(self, picture: Picture) -> Picture:
        native, part = self._native(picture), self.probe.aperture
        return native if part is None else cut(native, part, self.probe.layout)

    def _native(self, picture: Picture) -> Picture:
        picture.pict_type = 0  # the encoder shall choose its own
        part, layout = self.probe.aperture, self.probe.layout
        size = self.probe.stored_size if part is None else part.stored
        if picture.format.name == layout.name and (picture.width, picture.height) == size:
            return picture
        if (picture.width, picture.height) != size:
            self._notes["frames_scaled_to_first"] = None
        if picture.format.name != layout.name:
            self._notes[f"{picture.format.name}_converted_to_{layout.name}"] = None
        full = self.probe.colour.full
        converted = self._converter.reformat(
            picture,
            *size,
            layout.name,
            dst_colorspace=self.probe.colour.swscale,
            dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        )
        if is_rgb(picture.format.name):
            converted.colorspace = self.probe.colour.matrix
        return converted


def open_video(path: Path, probe: VideoProbe) -> VideoReader:
    """Open a video that was probed; ``VideoReader`` says how it is read.

    Raises:
        DamagedMedia: it can no longer be opened.
    """
    return VideoReader(path, probe)
