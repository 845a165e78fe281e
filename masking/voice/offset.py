"""Takes away what a bad sound card adds: a constant beside the sound, which would count as loudness and as a pitch."""

from typing import Final

import numpy as np
from scipy.signal import lfilter

from masking.voice.resample import Block
from masking.voice.types import RATE

CUTOFF_HZ: Final = 4.0
_KEPT: Final = 1 - 2 * np.pi * CUTOFF_HZ / RATE


class OffsetFilter:
    """A high-pass of first order for some channels at 16 kHz; what it takes in pieces comes out as in one go."""

    def __init__(self) -> None:
        self._state: np.ndarray | None = None

    def feed(self, samples: Block) -> Block:
        """Give as many samples (n, channels) without their offset; the very first sample is taken for it."""
        if not len(samples):
            return samples
        if self._state is None:
            self._state = -samples[:1].astype(np.float64)
        passed, self._state = lfilter([1.0, -1.0], [1.0, -_KEPT], samples.astype(np.float64), axis=0, zi=self._state)
        return np.asarray(passed, np.float32)
