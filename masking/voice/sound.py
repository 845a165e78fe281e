"""Sound as files and microphones have it, of any rate and several channels, through the core and back."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np

from masking.errors import DamagedMedia
from masking.voice.maskers import Converter
from masking.voice.offset import OffsetFilter
from masking.voice.policy import VoicePolicy
from masking.voice.report import Account
from masking.voice.resample import Block, Resampler, Stretcher
from masking.voice.stream import SpeechStream, StreamSettings
from masking.voice.types import RATE, Mono
from masking.voice.vad import Session

SILENT: Final = -1
"""Stands for a channel that is silent throughout."""


class SoundStream:
    """Masks the voices of a stream of sound: `feed` takes blocks, and gives what is done, in order and without gap.

    Args:
        policy: What is wished.
        vad: Session of the detector of speech.
        make: Makes a converter.
        rate: Samples per second.
        alike: For each channel the number of the channel whose masked samples it gets, see `alike`.
        settings: How the stream is worked on.
        first: Number of the first utterance.

    Attributes:
        account: What happened so far.
        taken: Samples of each channel that came in so far.
        delay_seconds: Seconds by which what comes out is behind at most.
    """

    def __init__(
        self,
        policy: VoicePolicy,
        vad: Session,
        make: Callable[[], Converter],
        rate: int,
        alike: Sequence[int],
        settings: StreamSettings,
        first: int = 0,
    ) -> None:
        # Where all is silent, one channel is masked all the same: it keeps the time.
        self._lanes = sorted(set(alike) - {SILENT}) or [0]
        self._places = [self._lanes.index(channel) if channel != SILENT else len(self._lanes) for channel in alike]
        self._rate = rate
        self._keep = policy.background == "keep"
        self._core = SpeechStream(policy, vad, make, len(self._lanes), settings, first)
        self._inwards = Resampler(rate, RATE, len(self._lanes))
        self._centred = OffsetFilter()
        self._outwards = Resampler(RATE, rate, len(self._lanes))
        self._gate = Stretcher(RATE, rate)
        self.taken = 0
        self._original: Block = np.empty((0, len(alike)), np.float32)
        self._masked: Block = np.empty((0, len(self._lanes)), np.float32)
        self._gates: Mono = np.empty(0, np.float32)
        self.delay_seconds = (self._core.delay + 1) / RATE + self._inwards.delay + self._outwards.delay

    @property
    def account(self) -> Account:
        """What happened so far."""
        return self._core.account

    @property
    def next_utterance(self) -> int:
        """Number that the next utterance will have."""
        return self._core.next_utterance

    def feed(self, block: Block) -> Block:
        """Take samples (n, channels), give masked samples (m, channels) in [-1, 1].

        Raises:
            DamagedMedia: A sample is not a number.
            ModelError: A model failed.
        """
        if not np.isfinite(block).all():
            raise DamagedMedia("the sound holds samples that are no numbers")
        block = np.clip(block, -1, 1)
        self.taken += len(block)
        if self._keep:
            self._original = np.concatenate([self._original, block])
        masked, gate = self._core.feed(self._centred.feed(self._inwards.feed(block[:, self._lanes])))
        return self._out(self._outwards.feed(masked), self._gate.feed(gate) if self._keep else gate)

    def finish(self) -> Block:
        """Give the rest: as many samples have then come out as went in. Errors as `feed`."""
        inside = -(-self.taken * RATE // self._rate)
        masked, gate = self._core.feed(self._centred.feed(self._inwards.finish(inside)))
        rest, last = self._core.finish()
        masked, gate = np.concatenate([masked, rest]), np.concatenate([gate, last])
        out = [self._outwards.feed(masked), self._outwards.finish(self.taken)]
        gates = [self._gate.feed(gate), self._gate.finish(self.taken)] if self._keep else [gate]
        return self._out(np.concatenate(out), np.concatenate(gates))

    def _out(self, masked: Block, gate: Mono) -> Block:
        if not self._keep:
            return self._spread(masked)
        self._masked = np.concatenate([self._masked, masked])
        self._gates = np.concatenate([self._gates, gate])
        ready = min(len(self._masked), len(self._gates), len(self._original))
        background = self._original[:ready] * (1 - self._gates[:ready, None])
        out = self._spread(self._masked[:ready]) + background
        self._masked, self._gates = self._masked[ready:], self._gates[ready:]
        self._original = self._original[ready:]
        return np.asarray(np.clip(out, -1, 1), np.float32)

    def _spread(self, masked: Block) -> Block:
        """Give each channel of the file its masked samples."""
        silence = np.zeros((len(masked), 1), np.float32)
        spread = np.concatenate([masked, silence], axis=1)[:, self._places]
        return np.asarray(np.clip(spread, -1, 1), np.float32)


def alike(blocks: Iterable[Block], channels: int) -> tuple[int, ...]:
    """Find the channels that need not be masked by themselves.

    Args:
        blocks: All of the sound, (n, channels) each.
        channels: How many channels there are.

    Returns:
        For each channel the first one that has the very same samples throughout, which may be itself; `SILENT` for one
        that is silent.
    """
    same = np.ones((channels, channels), np.bool_)
    silent = np.ones(channels, np.bool_)
    for block in blocks:
        silent &= ~block.any(axis=0)
        for one, other in zip(*np.nonzero(np.triu(same, 1)), strict=True):
            same[one, other] = np.array_equal(block[:, one], block[:, other])
    return tuple(SILENT if silent[channel] else int(same[:, channel].argmax()) for channel in range(channels))
