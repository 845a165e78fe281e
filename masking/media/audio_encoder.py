"""Samples in, packets out: the end that a sound file and the sound track of a video share."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final, cast

import numpy as np
from av import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import Flags as CodecFlags
from av.container import OutputContainer
from av.packet import Packet

from masking.media.audio_codec import AudioCoding
from masking.media.audio_samples import Block, from_frame, laid_out, to_frame

_PIECE: Final = 4096  # samples at a time for encoders that take any number


class AudioEncoder:
    """Encodes blocks into a track of its own in ``target``; what is fed at ``rate`` comes out at the coding's rate.

    Args:
        target: gets the track; nothing may have been written to it yet.
        coding: how.
        rate: samples a second of what is fed.
        start: time of the first sample, in samples at the coding's rate.
    """

    def __init__(self, target: OutputContainer, coding: AudioCoding, rate: int, start: int = 0) -> None:
        self.coding = coding
        stream = cast(AudioStream, target.add_stream(coding.encoder, rate=coding.rate, options=dict(coding.options)))
        context = stream.codec_context
        context.layout, context.format = coding.layout, coding.sample_format
        context.time_base = Fraction(1, coding.rate)
        if coding.bit_rate:
            context.bit_rate = coding.bit_rate
        context.flags |= CodecFlags.bitexact
        context.open()
        self._stream = stream
        self._size = context.frame_size or _PIECE
        self._next = start
        self._fed, self._made = 0, 0
        self._rate = rate
        self._resampler = None if rate == coding.rate else AudioResampler("flt", coding.layout, coding.rate)
        self._format = laid_out(coding.sample_format, context.layout.nb_channels)
        self._none = np.empty((0, context.layout.nb_channels), np.float32)
        self._held = self._none

    @property
    def stream(self) -> AudioStream:
        """The track."""
        return self._stream

    def feed(self, block: Block) -> Iterator["Packet[AudioStream]"]:
        """Encode (n, channels) samples; yields the packets that are finished."""
        if len(block):
            yield from self._cut(self._resampled(block))

    def finish(self) -> Iterator["Packet[AudioStream]"]:
        """Encode what is held; yields the last packets."""
        if self._resampler is not None:
            yield from self._cut(self._rest())
        if len(self._held):
            yield from self._encoded(self._held)
        yield from cast("list[Packet[AudioStream]]", self._stream.encode(None))

    def _resampled(self, block: Block) -> Block:
        if self._resampler is None:
            return block
        frame = to_frame(block, "flt", 0, self.coding.layout, self._rate, self._fed)
        self._fed += len(block)
        return self._counted(self._resampler.resample(frame))

    def _rest(self) -> Block:
        """Give what the resampler holds, cut or filled up so that as much time comes out as went in."""
        resampler = cast(AudioResampler, self._resampler)
        made = self._made
        rest = self._counted(resampler.resample(None))
        wanted = max(0, -(-self._fed * self.coding.rate // self._rate) - made)
        filled = np.zeros((wanted, rest.shape[1]), np.float32)
        filled[: len(rest)] = rest[:wanted]
        return filled

    def _counted(self, frames: list[AudioFrame]) -> Block:
        columns = [from_frame(frame)[0] for frame in frames]
        made = np.concatenate([self._none, *columns])
        self._made += len(made)
        return made

    def _cut(self, block: Block) -> Iterator["Packet[AudioStream]"]:
        held = np.concatenate([self._held, block])
        whole = len(held) - len(held) % self._size
        for at in range(0, whole, self._size):
            yield from self._encoded(held[at : at + self._size])
        self._held = held[whole:]

    def _encoded(self, block: Block) -> "list[Packet[AudioStream]]":
        coding = self.coding
        frame = to_frame(block, self._format, coding.bits, coding.layout, coding.rate, self._next)
        self._next += len(block)
        return cast("list[Packet[AudioStream]]", self._stream.encode(frame))
