"""Keeps masked speech as loud as the speech was, and within what a file can hold."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from masking.voice.types import HOP, RATE, Mono

_SECONDS: Final = 0.4
"""How long a level is remembered: long beside a syllable, so that nothing pumps."""
_MOMENT: Final = 0.05
"""The same for what is louder than it was by much: a pause must not be filled."""
_LOUDER: Final = 2.0
"""By how much a moment may be louder than it was."""
_SILENT: Final = 1e-7
"""Mean power below which a frame says nothing of the level."""
_LEAST, _MOST = 1 / 64, 8.0
"""A masker may speak at a level of its own, far above that of a distant voice."""
_BEND: Final = 0.8
"""Amplitude from which peaks are bent, so that none reaches 1."""


class Leveller:
    """Follows the level of one channel, in frames of 10 ms; what is left of a frame waits for the next samples."""

    def __init__(self) -> None:
        self._dry: Mono = np.empty(0, np.float32)
        self._wet: Mono = np.empty(0, np.float32)
        self._level = _Smooth(_SECONDS)
        self._moment = _Smooth(_MOMENT)
        self._gain = 1.0

    def feed(self, dry: Mono, wet: Mono) -> Mono:
        """Take as much of the speech as it was and as it is masked, each (n,); give whole frames of masked speech."""
        self._dry, self._wet = np.concatenate([self._dry, dry]), np.concatenate([self._wet, wet])
        whole = len(self._wet) // HOP * HOP
        made = self._levelled(self._dry[:whole].reshape(-1, HOP), self._wet[:whole].reshape(-1, HOP))
        self._dry, self._wet = self._dry[whole:], self._wet[whole:]
        return made

    def finish(self) -> Mono:
        """Give the rest."""
        left = len(self._wet)
        silence = np.zeros(-left % HOP, np.float32)
        return self.feed(silence, silence)[:left]

    def _levelled(self, dry: NDArray[np.float32], wet: NDArray[np.float32]) -> Mono:
        if not len(wet):
            return np.empty(0, np.float32)
        power = np.stack([np.square(each, dtype=np.float64).mean(1) for each in (dry, wet)], axis=1)
        most = _LOUDER * self._moment.ratio(power)
        # Frames in which one of them is silent, as while a masker warms up, say nothing of how they compare.
        power[power.min(1) < _SILENT] = 0
        ends = np.minimum(np.clip(self._level.ratio(power), _LEAST, _MOST), most)
        starts = np.concatenate([[self._gain], ends[:-1]])
        self._gain = float(ends[-1])
        ramp = np.arange(1, HOP + 1) / HOP
        return limited((wet * (starts[:, None] * (1 - ramp) + ends[:, None] * ramp)).astype(np.float32).reshape(-1))


class _Smooth:
    """How loud one is beside the other, smoothed over some seconds; 1 as long as the other is silent."""

    def __init__(self, seconds: float) -> None:
        self._kept = float(np.exp(-HOP / RATE / seconds))
        self._state: NDArray[np.float64] = np.zeros((1, 2))

    def ratio(self, power: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take powers of frames, (n, 2); give ratios of amplitude, (n,)."""
        smooth, self._state = lfilter([1 - self._kept], [1, -self._kept], power, axis=0, zi=self._state)
        known = smooth[:, 1] > _SILENT * (1 - self._kept)
        return np.where(known, np.sqrt(smooth[:, 0] / np.maximum(smooth[:, 1], 1e-300)), 1.0)


def limited(samples: Mono) -> Mono:
    """Bend what is louder than 0.8 so that it stays below 1, each sample by itself."""
    over = np.abs(samples) - _BEND
    bent = np.sign(samples) * (_BEND + (1 - _BEND) * np.tanh(over / (1 - _BEND)))
    return np.asarray(np.where(over > 0, bent, samples), np.float32)
