"""Write a masked video like the one that it was read from, complete under its name or not at all."""

import contextlib
import math
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import av
from av import VideoFrame as Picture
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.container.core import Flags
from av.error import FFmpegError
from av.packet import Packet
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from masking.errors import DamagedMedia, StorageError
from masking.media.sealed_file import hidden_beside, settle, storage_failure
from masking.media.urgency import as_urgent_as_before
from masking.media.video_codec import Coding, coding, colour_range
from masking.media.video_frame import VideoFrame
from masking.media.video_groups import Groups
from masking.media.video_join import Join, joint
from masking.media.video_reader import VideoReader
from masking.media.video_sound import KeptSound, Sound

_MUXERS: Final = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
_USUAL_RATE: Final = 25


class VideoWriter:
    """Writes frames into a hidden file beside ``path``; ``commit`` puts it in place, leaving without that removes it.

    Container, codec, times, rotation, shape of pixels and colours are those of the reader's video; metadata, chapters
    and streams other than the video and, where asked for, the sound are left out. A file at ``path`` stays as it is
    until ``commit``. A process that is killed leaves the hidden file, never a half one at ``path``.

    Args:
        path: where the video goes.
        like: what the frames are read from.
        sound: ``drop``, ``keep`` (the packets of the first track, copied), or a track of one's own.
        copy: whether the packets of groups of pictures that are untouched are copied.

    Attributes:
        notes: what is not as it was in the source.

    Raises:
        NotJoinable: packets cannot be copied after all; so do the methods, and nothing is written then.
    """

    def __init__(self, path: Path, like: VideoReader, *, sound: str | Sound = "drop", copy: bool = False) -> None:
        if isinstance(sound, str) and sound not in ("drop", "keep"):
            raise ValueError(f"sound is dropped or kept, not {sound!r}")
        self.path = path
        self._like = like
        self._coding: Coding = coding(like.probe)
        self._join: Join | None = None
        self._groups: Groups | None = None
        if copy:
            self._groups, self._coding = joint(like.path, like.probe, self._coding)
        self.notes: tuple[str, ...] = self._coding.notes
        self._sound = self._track(sound)
        self._converter = VideoReformatter()
        self._durations: dict[int, int] = {}
        self._last = 0
        self._end = 0.0
        self._stream: VideoStream | None = None
        self._hidden = hidden_beside(path, "video")
        self._target = self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    @property
    def copied(self) -> int:
        """How many frames were copied."""
        return 0 if self._join is None else self._join.copied

    def write(self, frame: VideoFrame, *, untouched: bool = False) -> None:
        """Encode one frame, or copy it in time where it is ``untouched`` and so are those around it.

        Raises:
            StorageError: it cannot be written.
        """
        picture = self._encodable(frame.picture)
        try:
            if self._stream is None:
                self._stream = self._added(frame.picture)
            shown = picture.pts or 0
            if self._last in self._durations:
                self._durations[self._last] = shown - self._last
            self._last, self._durations[shown] = shown, picture.duration
            with as_urgent_as_before():
                if self._join is None:
                    self._mux(self._stream.encode(picture))
                else:
                    self._mux(self._join.write(picture, untouched=untouched and not frame.is_painted))
        except (FFmpegError, OSError) as error:
            raise _failure(error) from error

    def commit(self) -> None:
        """Finish the file and put it in place, on disk before it has its name.

        Raises:
            StorageError: it cannot be written.
            DamagedMedia: no frame was written.
        """
        if self._stream is None:
            raise DamagedMedia("there is no frame to write")
        if self._last in self._durations and self._like.last_duration:
            self._durations[self._last] = self._like.last_duration
        try:
            with as_urgent_as_before():
                self._mux(self._stream.encode(None) if self._join is None else self._join.finish())
            if self._sound is not None:
                self._target.mux(list(self._sound.until(self._end if self._like.damage else math.inf)))
            self._target.close()
            settle(self._hidden, self.path)
        except (FFmpegError, OSError) as error:
            raise _failure(error) from error

    def discard(self) -> None:
        """Remove what was not committed."""
        if self._sound is not None:
            self._sound.close()
        if self._groups is not None:
            self._groups.close()
        with contextlib.suppress(FFmpegError, OSError):
            self._target.close()
        self._hidden.unlink(missing_ok=True)

    def _track(self, sound: str | Sound) -> Sound | None:
        probe = self._like.probe
        if not isinstance(sound, str):
            return sound
        if not probe.has_sound:
            return None
        if sound == "keep":
            return KeptSound(self._like.path, probe)
        self.notes += ("sound_dropped",)
        return None

    def _opened(self) -> OutputContainer:
        kind = self._like.probe.container
        options = {}
        if kind in ("mp4", "mov"):
            options["movflags"] = "+faststart"
            if self._like.time_base.numerator == 1:
                options["video_track_timescale"] = str(self._like.time_base.denominator)
        target = av.open(f"file:{self._hidden.absolute()}", "w", format=_MUXERS[kind], container_options=options)
        target.flags |= cast(int, Flags.bitexact.value)
        return target

    def _added(self, first: Picture) -> VideoStream:
        probe, chosen = self._like.probe, self._coding
        width, height = probe.stored_size
        rate, unit = probe.fps or _USUAL_RATE, self._like.time_base
        added = self._target.add_stream(chosen.encoder, rate=rate, options=chosen.options, time_base=unit)
        stream = cast(VideoStream, added)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, chosen.layout.name
        context.flags |= CodecFlags.bitexact | CodecFlags.frame_duration
        context.thread_count = 0
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        if self._like.aspect:
            context.sample_aspect_ratio = self._like.aspect
        if probe.matrix is not None:
            matrix = self._turned(probe.matrix)
            if not probe.turn.is_none:
                stream.set_display_matrix(matrix)
        if self._groups is not None:
            self._join = Join(self._groups, context, chosen)
            context.extradata = self._join.header
        if self._sound is not None:
            self._sound.attach(self._target)
        return stream

    def _turned(self, given: tuple[int, ...]) -> tuple[int, ...]:
        """Give a display matrix verbatim where it is a plain turn, else the turn that the frames were seen in."""
        probe = self._like.probe
        plain = probe.turn.matrix
        if (given[:2], given[3:5]) == (plain[:2], plain[3:5]):
            return given if probe.container in ("mp4", "mov") else plain
        self.notes += ("rotation_simplified",)
        return plain

    def _encodable(self, picture: Picture) -> Picture:
        picture.time_base = self._like.time_base
        if picture.format.name == self._coding.layout.name:
            return picture
        same = colour_range(self._coding)
        return self._converter.reformat(
            picture, format=self._coding.layout.name, src_color_range=same, dst_color_range=same
        )

    def _mux(self, packets: Iterable["Packet[VideoStream]"]) -> None:
        for packet in packets:
            packet.stream = cast(VideoStream, self._stream)
            shown, decoded = packet.pts or 0, packet.dts or 0
            duration = self._durations.pop(shown, 0)
            if duration:
                packet.duration = duration
            self._end = max(self._end, float((shown + duration) * packet.time_base))
            if self._sound is not None:
                self._target.mux(list(self._sound.until(float(decoded * packet.time_base))))
            self._target.mux(packet)


def _failure(error: FFmpegError | OSError) -> StorageError:
    return storage_failure(error, "video")
