"""The frames of a sound stream up to its end or to the first damage."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet

from masking.errors import UnsupportedMedia
from masking.media.audio_samples import Unplanar
from masking.media.audio_sniff import layer_3_frame_bytes

_GAP_SECONDS: Final = Fraction(1, 100)  # less than any frame that may be missing, more than times are rounded by


class GoodFrames:
    """Decodes a sound stream; ends at the first packet or frame that is corrupt, with ``damage`` set.

    What a decoder guesses where data are missing is never handed on. What cannot be decoded before the first good
    frame, as at the start of a stream that was cut anywhere, is left out and noted.

    Args:
        source: the open file.
        stream: of it.
        rate: samples a second that all frames have.
        channels: that all frames have.
        broken_at: byte at which the file no longer is what it states, None where all of it fits.
        numbered: whether the times of frames come from the file, so that one that is missing shows as a gap.

    Attributes:
        damage: why the frames end before the stream does; None while it has not.
        notes: what was left out.
    """

    def __init__(
        self,
        source: InputContainer,
        stream: AudioStream,
        rate: int,
        channels: int,
        broken_at: int | None,
        *,
        numbered: bool = False,
    ) -> None:
        self.damage: str | None = None
        self.notes: tuple[str, ...] = ()
        self._source = source
        self._stream = stream
        self._same = (rate, channels)
        self._broken_at = broken_at
        self._numbered = numbered
        self._due: Fraction | None = None
        self._codec = stream.codec_context.codec.canonical_name
        stream.codec_context.thread_count = 1

    def __iter__(self) -> Iterator[AudioFrame]:
        """Yield frames of at least one sample; once.

        Raises:
            UnsupportedMedia: the rate or the number of channels changes on the way.
        """
        begun = False
        unplanar = Unplanar()
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                if packet is not None and not begun:
                    self.notes = ("leading_corrupt_frames_dropped",)
                    continue
                self.damage = self.damage or "the data of the sound cannot be decoded"
                return
            for frame in frames:
                if frame.is_corrupt or self._is_late(frame):
                    self.damage = "the data of the sound are corrupt"
                    return
                if frame.samples:
                    begun = True
                    self._check_same(frame)
                    yield from unplanar(frame)

    def _check_same(self, frame: AudioFrame) -> None:
        if (frame.sample_rate, frame.layout.nb_channels) != self._same:
            raise UnsupportedMedia("sound whose rate or channels change on the way is not masked here: split it")

    def _is_late(self, frame: AudioFrame) -> bool:
        """Tell whether there is a gap before a frame; remembers when the next one is due."""
        if not self._numbered or frame.pts is None or frame.time_base is None:
            return False
        begins = frame.pts * frame.time_base
        late = self._due is not None and begins - self._due > _GAP_SECONDS
        self._due = begins + Fraction(frame.samples, frame.sample_rate)
        return late

    def _is_broken(self, packet: "Packet[AudioStream]") -> bool:
        if self._broken_at is not None and (packet.pos or 0) >= self._broken_at:
            return True
        if self._codec.startswith("pcm_"):  # the end of a file whose length is not stated is marked as corrupt too
            return False
        cut = self._codec == "mp3" and layer_3_frame_bytes(bytes(memoryview(packet)[:4])) > packet.size > 0
        return packet.is_corrupt or cut

    def _packets(self) -> Iterator["Packet[AudioStream] | None"]:
        """Yield the packets up to the first damage, then None, by which the decoder gives what it still holds."""
        try:
            for packet in self._source.demux(self._stream):
                if self._is_broken(packet):
                    self.damage = "the file is cut off or overwritten"
                    break
                if packet.size:
                    yield packet
        except FFmpegError:
            self.damage = "the file cannot be read to its end"
        yield None
