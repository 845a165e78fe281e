"""Another rate of samples, as they come in: exact in place and length, and the same however the stream is cut.

A polyphase low-pass with linear phase (Crochiere and Rabiner, Multirate Digital Signal Processing, 1983), centred, so
that sample m of the result lies at the time of sample m · source / target of what came in.
"""

from functools import cache
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, upfirdn

from masking.voice.types import Mono

CROSSINGS: Final = 24
"""Zero crossings of the low-pass on either side: how sharp it is, and how many samples it waits for."""
_BETA: Final = 8.0
_PASSED: Final = 0.96
"""Share of the lower rate's band that passes; what is left is the low-pass's slope."""

Block = NDArray[np.float32]
"""Samples of several channels, shape (n, channels)."""


@cache
def _low_pass(up: int, down: int) -> tuple[Block, int]:
    """Give the filter at ``up`` times the source's rate, its centre on a multiple of ``down``, and half its length."""
    half = CROSSINGS * max(up, down)
    taps = firwin(2 * half + 1, _PASSED / max(up, down), window=("kaiser", _BETA)) * up
    lead = -half % down
    return np.concatenate([np.zeros(lead), taps]).astype(np.float32), half


class Resampler:
    """Brings a stream from one rate to another: `feed` takes blocks, and gives what no later sample can change.

    Args:
        source: Samples per second that come in.
        target: Samples per second that go out.
        channels: Channels of a block.

    Attributes:
        delay: Seconds by which what comes out is behind at most.
    """

    def __init__(self, source: int, target: int, channels: int) -> None:
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        self.delay = 0.0 if self._up == self._down else CROSSINGS / min(source, target) + 1 / target
        self._buffer: Block = np.empty((0, channels), np.float32)
        self._start = 0
        self._next = 0

    def feed(self, block: Block) -> Block:
        """Take samples (n, channels), give samples (m, channels)."""
        if self._up == self._down:
            self._next += len(block)
            return block
        taps, half = _low_pass(self._up, self._down)
        self._buffer = np.concatenate([self._buffer, block])
        known = self._start + len(self._buffer)
        end = (known * self._up - 1 - half) // self._down + 1
        if end <= self._next:
            return self._buffer[:0]
        shift = (len(taps) - 1 - half) // self._down - self._start * self._up // self._down
        made = upfirdn(taps, self._buffer, self._up, self._down, axis=0)[shift + self._next : shift + end]
        self._next = end
        needed = max(0, (end * self._down - half) // self._up) // self._down * self._down
        self._buffer, self._start = self._buffer[needed - self._start :].copy(), needed
        return np.asarray(made, np.float32)

    def finish(self, length: int) -> Block:
        """Give the rest, silence being what follows, so that ``length`` samples have come out in all."""
        missing = length - self._next
        if missing <= 0 or self._up == self._down:
            return self._buffer[:0]
        silence = (missing * self._down + 2 * len(_low_pass(self._up, self._down)[0])) // self._up + 1
        return self.feed(np.zeros((silence, self._buffer.shape[1]), np.float32))[:missing]


class Stretcher:
    """Brings a curve in [0, 1] from one rate to another, in straight lines between its samples.

    Unlike a low-pass it leaves 0 and 1 what they are.
    """

    def __init__(self, source: int, target: int) -> None:
        common = gcd(source, target)
        self._up, self._down = target // common, source // common
        self._buffer: Mono = np.empty(0, np.float32)
        self._start = 0
        self._next = 0

    def feed(self, curve: Mono) -> Mono:
        """Take values (n,), give values (m,)."""
        self._buffer = np.concatenate([self._buffer, curve])
        # A value between two samples needs both; the last sample itself is left for the next block.
        last = self._start + len(self._buffer) - 1
        end = max(self._next, (last * self._up - 1) // self._down + 1) if last > 0 else self._next
        at = np.arange(self._next, end, dtype=np.int64) * self._down
        low, share = at // self._up - self._start, (at % self._up / self._up).astype(np.float32)
        made = self._buffer[low] * (1 - share) + self._buffer[np.minimum(low + 1, len(self._buffer) - 1)] * share
        self._next = end
        needed = end * self._down // self._up
        self._buffer, self._start = self._buffer[max(0, needed - self._start) :], max(needed, self._start)
        return np.asarray(made, np.float32)

    def finish(self, length: int) -> Mono:
        """Give the rest, the last value going on, so that ``length`` values have come out in all."""
        last = self._buffer[-1] if len(self._buffer) else np.float32(0)
        missing = max(0, length - self._next)
        return self.feed(np.full(missing * self._down // self._up + 3, last, np.float32))[:missing]
