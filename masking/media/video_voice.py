"""The sound track of a video with its voices masked: decoded, handed to a mask in blocks, and encoded again."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from masking.media.audio_codec import AudioCoding, audio_coding
from masking.media.audio_encoder import AudioEncoder
from masking.media.audio_reader import BLOCKS_A_SECOND, in_blocks
from masking.media.audio_samples import Block
from masking.media.video_probe import VideoProbe
from masking.media.video_track import TrackProbe, TrackReader


class VoiceTrack:
    """A ``Sound`` of masked voices: the first track of a video, at the times that it has there.

    What ``mask`` or ``flush`` raise passes out of ``until``, so that the whole video fails.

    Args:
        path: of the video.
        probe: what the video is.
        track: what its sound is, by ``probe_track``.
        mask: takes (n, channels) float32 samples at the track's rate, half a second or less, and gives the masked
            samples that are finished: in all as many as it took, late by as much as it likes.
        flush: gives the masked samples that ``mask`` still holds, when the track is at its end.

    Attributes:
        notes: what is not as it was in the source.
        damage: why the sound ends before the track does; None while it has not.
    """

    def __init__(
        self,
        path: Path,
        probe: VideoProbe,
        track: TrackProbe,
        mask: Callable[[Block], Block],
        flush: Callable[[], Block],
    ) -> None:
        self._track = track
        self._coding: AudioCoding = audio_coding(track)
        self._reader = TrackReader(path, probe, track)
        self._blocks = in_blocks(self._reader, max(1, track.rate // BLOCKS_A_SECOND))
        self._mask, self._flush = mask, flush
        self._ready: deque[Packet[AudioStream]] = deque()
        self._owed = 0  # samples that were handed to the mask and did not come back yet
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as it was in the source, as far as it was read."""
        return (*self._coding.notes, *self._reader.notes)

    @property
    def damage(self) -> str | None:
        """Why the sound ends before the track does."""
        return self._reader.damage

    def attach(self, target: OutputContainer) -> None:
        """Add the track to the file, before anything is written to it."""
        if self._track.container in ("mp4", "mov"):
            # Where a track begins late is told in units of the film: by default milliseconds, too coarse for a sample.
            target.container_options["movie_timescale"] = str(self._coding.rate)
        start = round(self._track.start * self._coding.rate)
        self._encoder = AudioEncoder(target, self._coding, self._track.rate, start)

    def until(self, seconds: float) -> Iterator["Packet[Stream]"]:
        """Yield the packets that come before ``seconds``.

        Raises:
            UnsupportedMedia: the rate or the number of channels changes on the way.
            ValueError: the mask gives more or fewer samples than it took, or one that is no number.
        """
        while True:
            while self._ready and _start(self._ready[0]) < seconds:
                yield cast("Packet[Stream]", self._ready.popleft())
            if self._ready or self._over:
                return
            self._advance()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def _advance(self) -> None:
        """Mask one block more, or at the end what is held."""
        block = next(self._blocks, None)
        if block is not None:
            self._owed += len(block)
            self._encode(self._mask(block))
            return
        self._encode(self._flush())
        if self._owed:
            raise ValueError(f"the mask kept {self._owed} samples for itself")
        self._over = True
        self._keep(self._encoder.finish())

    def _encode(self, masked: Block) -> None:
        self._owed -= len(masked)
        if self._owed < 0 or masked.ndim != 2 or masked.shape[1] != self._track.channels:
            raise ValueError(f"the mask gave {masked.shape} samples, which it was not asked for")
        if not np.isfinite(masked).all():
            raise ValueError("the mask gave a sample that is no number")
        self._keep(self._encoder.feed(masked))

    def _keep(self, packets: Iterable["Packet[AudioStream]"]) -> None:
        self._ready.extend(packets)


def _start(packet: "Packet[AudioStream]") -> float:
    return float((packet.dts or 0) * packet.time_base)
