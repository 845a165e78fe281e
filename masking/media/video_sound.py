"""The sound of a masked video: where it comes from, packet by packet beside the pictures."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from masking.errors import UnsupportedMedia
from masking.media.video_probe import VideoProbe, open_container


class Sound(Protocol):
    """A track of sound that is written beside the pictures; a masked voice is another one of these."""

    def attach(self, target: OutputContainer) -> None:
        """Add the track to the file, before anything is written to it."""

    def until(self, seconds: float) -> Iterator["Packet[Stream]"]:
        """Yield the packets that come before that time of the file and were not yielded before, in order."""

    def close(self) -> None:
        """Let go of what is held."""


class KeptSound:
    """The first sound track of a file, packets copied as they are, at the times that they have."""

    def __init__(self, path: Path, probe: VideoProbe) -> None:
        if probe.audio is None:
            raise UnsupportedMedia("there is no sound in the file")
        self._source = open_container(path, probe.container, probe.max_pixels)
        self._stream = self._source.streams[probe.audio]
        self._packets = self._source.demux(self._stream)
        self._next = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attach(self, target: OutputContainer) -> None:
        """Add a track like it.

        Raises:
            UnsupportedMedia: the container cannot hold it.
        """
        try:
            self._track = target.add_stream_from_template(self._stream)
        except (FFmpegError, ValueError) as error:
            raise UnsupportedMedia("the sound cannot be copied: its codec is not known here") from error
        self._track.time_base = self._stream.time_base
        self._track.metadata.clear()

    def until(self, seconds: float) -> Iterator["Packet[Stream]"]:
        """Yield the packets that come before ``seconds``."""
        while self._next is not None and _start(self._next) < seconds:
            packet, self._next = self._next, self._read()
            packet.stream = self._track
            yield packet

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _read(self) -> "Packet[Stream] | None":
        """Read the next good packet; where the file is damaged, the sound ends."""
        try:
            packet = next((p for p in self._packets if p.dts is not None), None)
        except FFmpegError:
            return None
        return None if packet is None or packet.is_corrupt else packet


def _start(packet: "Packet[Stream]") -> float:
    return float((packet.dts or 0) * packet.time_base)
