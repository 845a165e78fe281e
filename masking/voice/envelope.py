"""The spectral envelope of a voice without its harmonics, in the mel bands of `masking.voice.mel`.

After CheapTrick (Morise, Speech Communication 67, 2015): a window of three periods makes the power stable in time, a
mean over two thirds of a harmonic and a lifter in the cepstrum take the harmonics out.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from masking.voice.mel import FLOOR, centres
from masking.voice.types import BANDS, HOP, RATE, Frames, Mono

SIZE: Final = 1024
REACH: Final = SIZE // 2
LOWEST_HZ: Final = 71.0
"""Three periods of a deeper voice would not fit the transform; it is analysed as this one."""
UNVOICED_HZ: Final = 300.0
"""What a frame without pitch is analysed as: a window of 10 ms."""
_BINS: Final = SIZE // 2 + 1
_BIN_HZ: Final = RATE / SIZE


def envelopes(samples: Mono, pitch: NDArray[np.float32]) -> Frames:
    """Analyse a whole recording.

    Args:
        samples: Shape (n,).
        pitch: Hz of each frame, 0 where unvoiced; shape (frames,), frames <= n // 160 + 1.

    Returns:
        Natural logarithm of the amplitude at each band's centre, shape (frames, 80).
    """
    count = len(pitch)
    padded = np.zeros((count - 1) * HOP + SIZE, np.float32)
    taken = samples[: max(0, len(padded) - REACH)]
    padded[REACH : REACH + len(taken)] = taken
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP]
    return analyse(frames, pitch)


def analyse(frames: NDArray[np.float32], pitch: NDArray[np.float32]) -> Frames:
    """Analyse frames of 1,024 samples, shape (frames, 1024), each around its centre; see `envelopes`."""
    hertz = np.maximum(np.where(pitch > 0, pitch, UNVOICED_HZ), LOWEST_HZ).astype(np.float64)[:, None]
    half = 1.5 * RATE / hertz
    place = np.arange(SIZE) - SIZE // 2
    window = np.where(np.abs(place) < half, 0.5 + 0.5 * np.cos(np.pi * place / half), 0.0)
    power = np.abs(rfft(frames * window / np.sqrt((window**2).sum(1, keepdims=True)))) ** 2
    power = _low_from_above(power, hertz)
    smooth = _mean_over(power, 2 * hertz / 3) + FLOOR
    return (0.5 * _liftered(np.log(smooth), hertz) @ _at_centres()).astype(np.float32)


def _low_from_above(power: NDArray[np.float64], hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the mirror of what lies above half the pitch below it: there is no harmonic to tell the envelope there."""
    bins = np.arange(_BINS)
    mirrored = np.clip(np.round(hertz / _BIN_HZ - bins), 0, _BINS - 1).astype(int)
    return np.where(bins * _BIN_HZ < hertz / 2, np.take_along_axis(power, mirrored, 1), power)


def _mean_over(power: NDArray[np.float64], width_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the power over a width around each bin; beyond the ends it is what the ends are."""
    pad = 32
    wide = np.concatenate([power[:, pad:0:-1], power, power[:, -2 : -pad - 2 : -1]], 1)
    total = np.concatenate([np.zeros((len(wide), 1)), wide.cumsum(1)], 1)
    half = np.asarray(np.minimum(width_hz / _BIN_HZ / 2, pad - 1))
    centre = np.arange(_BINS) + pad + 0.5

    def until(place: NDArray[np.float64]) -> NDArray[np.float64]:
        low = place.astype(int)
        rest = place - low
        first = np.take_along_axis(total, low, 1)
        return np.asarray(first + rest * (np.take_along_axis(total, low + 1, 1) - first))

    return np.asarray(np.maximum((until(centre + half) - until(centre - half)) / (2 * half), 0))


def _liftered(log_power: NDArray[np.float64], hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    cepstrum = irfft(log_power, axis=1)
    turns = np.abs(np.fft.fftfreq(SIZE, 1 / SIZE)) / RATE * hertz
    # The second factor gives back to the peaks what the mean took from them; values as in the paper.
    lifter = np.sinc(turns) * (1.18 - 2 * 0.09 * np.cos(2 * np.pi * turns))
    return np.asarray(rfft(cepstrum * lifter, axis=1).real)


@cache
def _at_centres() -> NDArray[np.float64]:
    """Give the matrix that reads bins at the bands' centres, linear between bins; shape (513, 80)."""
    places = centres() / _BIN_HZ
    matrix = np.zeros((_BINS, BANDS))
    low = places.astype(int)
    matrix[low, np.arange(BANDS)] = 1 - (places - low)
    matrix[low + 1, np.arange(BANDS)] += places - low
    return matrix
