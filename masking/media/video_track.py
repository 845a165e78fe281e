"""The first sound track of a video, decoded: blocks without gaps, from the time at which the track begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import numpy as np
from av import AudioFrame
from av.audio.stream import AudioStream
from av.error import FFmpegError

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.media.audio_frames import GoodFrames
from masking.media.audio_probe import AudioLimits, check_frame
from masking.media.audio_samples import Block, finite
from masking.media.audio_source import first_frames
from masking.media.video_probe import VideoProbe, open_container
from masking.media.video_sniff import first_break

_FIRST_PACKETS: Final = 600
_SLACK_SECONDS: Final = 0.02  # Matroska tells times in milliseconds, and clocks of sound and pictures drift apart
_LATE_SECONDS: Final = 60.0  # sound that begins again longer than this after the end of the video has a broken time


@dataclass(frozen=True, slots=True)
class TrackProbe:
    """What is known of a sound track before it is read; the names mean what they mean in ``AudioProbe``.

    Attributes:
        container: of the video.
        codec: FFmpeg's name.
        rate: samples a second of each channel.
        channels: number of channels.
        layout: FFmpeg's name of where they stand.
        sample_format: FFmpeg's name of the decoder's samples, without ``p`` for planar.
        bit_rate: bits per second, 0 where unknown.
        start: seconds of the file at which the sound begins; pictures are timed on the same clock.
    """

    container: str
    codec: str
    rate: int
    channels: int
    layout: str
    sample_format: str
    bit_rate: int
    start: Fraction


def probe_track(path: Path, probe: VideoProbe, limits: AudioLimits) -> TrackProbe:
    """Tell what the first sound track of a video is.

    Raises:
        UnsupportedMedia: there is none, its codec is not known, or rate or channels are out of ``limits``.
        DamagedMedia: nothing of it can be decoded.
    """
    if probe.audio is None:
        raise UnsupportedMedia("there is no sound in the file")
    with open_container(path, probe.container, probe.max_pixels) as source:
        stream = cast(AudioStream, source.streams[probe.audio])
        if stream.codec_context is None:
            raise UnsupportedMedia("the codec of the sound is not known here")
        stream.codec_context.thread_count = 1
        try:
            first = next((f for f in first_frames(source, stream, _FIRST_PACKETS) if f.samples), None)
        except FFmpegError as error:
            raise DamagedMedia("the sound of the video cannot be read") from error
        if first is None:
            raise DamagedMedia("nothing of the sound of the video can be decoded")
        check_frame(first, limits)
        return TrackProbe(
            container=probe.container,
            codec=stream.codec_context.codec.canonical_name,
            rate=first.sample_rate,
            channels=first.layout.nb_channels,
            layout=first.layout.name,
            sample_format=first.format.packed.name,
            bit_rate=stream.codec_context.bit_rate or 0,
            start=_time(first),
        )


class TrackReader:
    """Reads a sound track as pieces that follow each other without gaps: what is missing between them is silence.

    Reading ends at the first damage, see ``GoodFrames``.
    """

    def __init__(self, path: Path, probe: VideoProbe, track: TrackProbe) -> None:
        self._lost: str | None = None
        self._notes: dict[str, None] = {}
        self._track = track
        self._last_second = probe.seconds + _LATE_SECONDS
        self._source = open_container(path, probe.container, probe.max_pixels)
        stream = cast(AudioStream, self._source.streams[cast(int, probe.audio)])
        broken_at = first_break(path, probe.container)
        self._frames = GoodFrames(self._source, stream, track.rate, track.channels, broken_at)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as it was in the track, as far as it was read."""
        return (*self._notes, *self._frames.notes)

    @property
    def damage(self) -> str | None:
        """Why the sound ends before the track does; None while it has not."""
        return self._frames.damage or self._lost

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __iter__(self) -> Iterator[Block]:
        """Yield (n, channels) pieces; once.

        Raises:
            UnsupportedMedia: the rate or the number of channels changes on the way.
        """
        rate = self._track.rate
        next_sample = round(self._track.start * rate)
        for frame in self._frames:
            samples, notes = finite(frame, exact=self._track.codec.startswith("pcm_"))
            self._notes.update(dict.fromkeys(notes))
            gap = 0 if frame.pts is None else round(_time(frame) * rate) - next_sample
            if abs(gap) <= _SLACK_SECONDS * rate:
                gap = 0
            if (next_sample + gap) / rate > self._last_second:
                self._lost = "the times of the sound are corrupt"
                return
            yield from self._silence(gap)
            next_sample += max(gap, 0)
            samples = samples[max(0, -gap) :]
            next_sample += len(samples)
            yield samples

    def _silence(self, samples: int) -> Iterator[Block]:
        if samples > 0:
            self._notes["gaps_in_sound_are_silent"] = None
        for start in range(0, samples, self._track.rate):
            yield np.zeros((min(self._track.rate, samples - start), self._track.channels), np.float32)


def _time(frame: AudioFrame) -> Fraction:
    return Fraction(0) if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
