"""Log-mel frames: what the voice models hear.

Frame t is centred on sample 160 t. Bands are triangles that are evenly spaced on the mel scale of O'Shaughnessy
(Speech Communication, 1987), 2595 log10(1 + f / 700).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from masking.voice.types import BANDS, HOP, RATE, Frames, Mono

WINDOW: Final = 400
SIZE: Final = 512
REACH: Final = WINDOW // 2
"""Samples on either side of a frame's centre that it depends on."""
FLOOR: Final = 1e-6
"""Added to a band's mean power, so that silence has a finite logarithm."""


@cache
def centres() -> NDArray[np.float64]:
    """Give the centre frequency of each band in Hz, shape (80,), ascending."""
    return _edges()[1:-1]


@cache
def _edges() -> NDArray[np.float64]:
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    return np.asarray(700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1))


@cache
def _filters() -> NDArray[np.float32]:
    frequencies = np.linspace(0, RATE / 2, SIZE // 2 + 1)
    left, centre, right = _edges()[:-2, None], _edges()[1:-1, None], _edges()[2:, None]
    triangles = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    # The lowest bands are narrower than a bin: each takes the bin that is nearest, so that none is empty.
    nearest = np.abs(frequencies - centre).argmin(1)
    weights = np.maximum(triangles, 0)
    weights[np.arange(BANDS), nearest] = np.maximum(weights[np.arange(BANDS), nearest], 0.5)
    return np.asarray((weights / weights.sum(1, keepdims=True)).T, np.float32)


@cache
def _window() -> NDArray[np.float32]:
    window = np.hanning(WINDOW + 1)[:-1]
    return np.asarray(window / np.sqrt((window**2).sum()), np.float32)


def log_mel(samples: Mono) -> Frames:
    """Analyse samples that already have their context.

    Args:
        samples: Shape (n,); the first frame is centred on sample `REACH`, the last where its window still fits.

    Returns:
        Natural logarithm of the amplitude in each band, shape (1 + (n - 400) // 160, 80); none if n < 400.
    """
    if len(samples) < WINDOW:
        return np.empty((0, BANDS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.abs(rfft(windows * _window(), SIZE)) ** 2
    return np.asarray(0.5 * np.log(power @ _filters() + FLOOR), np.float32)


def whole(samples: Mono) -> Frames:
    """Analyse a whole recording, silence before and after it; shape (n // 160 + 1, 80)."""
    count = len(samples) // HOP + 1
    padded = np.zeros((count - 1) * HOP + WINDOW, np.float32)
    taken = samples[: len(padded) - REACH]
    padded[REACH : REACH + len(taken)] = taken
    return log_mel(padded)
