"""What averaging took from speech, given back: a mean of many spectra is flatter than each, and never quite silent.

Nothing of the speaker comes back with it: it is made from what the model says, and from nothing else.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from masking.voice.types import BANDS, Frames

SHARPER: Final = 0.4
"""Share by which formants stand out more than in the average."""
COARSEST: Final = 2
FINEST: Final = 40
"""Cosines over the bands that formants are made of; coarser ones are loudness and brightness."""
SPEECH: Final = -4.2
"""Mean log amplitude of voiced frames until some were heard: where models speak that learned from level speech."""
SURE: Final = 30.0
"""Voiced frames that this weighs as much as."""
MEMORY: Final = 300.0
"""Voiced frames that are remembered."""
PAUSE: Final = 1.3
"""Nepers below voiced frames from which on a frame counts as a pause."""
SOFTER: Final = 1.0
"""How many nepers softer a pause becomes for each that it lies below that."""


class Clarity:
    """Sharpens the envelopes of one stream and makes its pauses silent, from nothing at each utterance."""

    def __init__(self) -> None:
        self._level, self._weight = SPEECH, SURE

    def give(self, envelope: Frames, voicing: NDArray[np.float32], begins: bool) -> Frames:
        """Make frames clear.

        Args:
            envelope: Natural logarithm of the amplitude, shape (t, 80).
            voicing: In [0, 1], shape (t,).
            begins: Whether an utterance begins.
        """
        if begins:
            self._level, self._weight = SPEECH, SURE
        below = np.empty(len(envelope), np.float32)
        for index, level in enumerate(envelope.mean(axis=1).tolist()):
            if voicing[index] > 0.5:
                self._weight = min(self._weight + 1, MEMORY)
                self._level += (level - self._level) / self._weight
            below[index] = min(level - (self._level - PAUSE), 0.0)
        return np.asarray(envelope @ _sharper() + SOFTER * below[:, None], np.float32)


@cache
def _sharper() -> NDArray[np.float32]:
    """Give the matrix (80, 80) that makes the cosines of spectra (n, 80) larger that formants are made of.

    Emphasis in the cepstrum, as it is used behind the averages of statistical synthesis (Yoshimura et al., IEICE
    Transactions J87-D-II, 2004).
    """
    basis = dct(np.eye(BANDS), type=2, norm="ortho", axis=0)
    weights = np.ones(BANDS)
    weights[COARSEST:FINEST] += SHARPER
    return np.asarray(basis.T @ (weights[:, None] * basis), np.float32)
