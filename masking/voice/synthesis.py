"""From envelopes, pitch and voicing back to sound.

Each pulse of the glottis, and the noise around each frame, is filtered by the minimum-phase response of the envelope at
its time, and they are added up, as WORLD does it (Morise et al., IEICE Transactions E99-D, 2016).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from masking.voice.mel import centres
from masking.voice.types import BANDS, HOP, RATE, Frames, Mono

SIZE: Final = 1024
BREATH: Final = (0.0, 0.2)
"""Share of noise in the power of a fully voiced frame, at the bottom and at the top of the spectrum."""
BREATH_HZ: Final = (2_000.0, 6_500.0)
"""Between these the share of noise rises."""
LOWEST_HZ: Final = 50.0
SILENT: Final = 0.02
"""Voicing below which there are no pulses."""
_BINS: Final = SIZE // 2 + 1


class Synthesis:
    """One stream of sound from its frames.

    `feed` gives 160 samples for every frame: those that lead from the frame before to it. What is between two frames is
    interpolated, pitch linearly, envelopes in logarithm.

    Args:
        seed: Of the noise; the same seed and frames give the same sound, however they are cut.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._phase = 0.0
        self._rest = np.zeros(SIZE)
        self._noise = np.zeros(HOP)
        self._last: tuple[NDArray[np.float64], float, float] | None = None

    def feed(self, envelope: Frames, pitch: NDArray[np.float32], voicing: NDArray[np.float32]) -> Mono:
        """Take frames, give their sound.

        Args:
            envelope: Natural logarithm of the amplitude at the bands' centres, shape (frames, 80).
            pitch: Hz, above 0, shape (frames,).
            voicing: How voiced each frame is, in [0, 1], shape (frames,).

        Returns:
            Shape (160 * frames,).
        """
        count = len(envelope)
        if count == 0:
            return np.empty(0, np.float32)
        cepstra = _causal_cepstra(envelope.astype(np.float64) @ _to_bins())
        first = self._last or (cepstra[0], float(pitch[0]), float(voicing[0]))
        cepstra = np.concatenate([first[0][None], cepstra])
        hertz = np.concatenate([[first[1]], pitch]).astype(np.float64)
        voiced = np.concatenate([[first[2]], voicing]).astype(np.float64)
        self._last = (cepstra[-1], float(hertz[-1]), float(voiced[-1]))
        out = np.zeros(count * HOP + SIZE)
        out[:SIZE] += self._rest
        self._add_pulses(out, cepstra, hertz, voiced)
        self._add_noise(out, cepstra[1:], voiced[1:])
        self._rest = out[count * HOP :].copy()
        return out[: count * HOP].astype(np.float32)

    def _add_pulses(
        self,
        out: NDArray[np.float64],
        cepstra: NDArray[np.float64],
        hertz: NDArray[np.float64],
        voiced: NDArray[np.float64],
    ) -> None:
        count = len(cepstra) - 1
        weights = np.arange(1, HOP + 1) / HOP
        steps = (hertz[:-1, None] * (1 - weights) + hertz[1:, None] * weights).reshape(-1) / RATE
        phase = self._phase + np.cumsum(steps)
        turns = np.floor(phase)
        before = np.concatenate([[0.0], turns[:-1]])
        self._phase = float(phase[-1] - turns[-1])
        places = np.flatnonzero(turns > before)
        frames = np.minimum(places // HOP, count - 1)
        weight = ((places % HOP + 1) / HOP)[:, None]
        share = (voiced[frames] * (1 - weight[:, 0]) + voiced[frames + 1] * weight[:, 0])[:, None]
        audible = share[:, 0] > SILENT
        if not audible.any():
            return
        places, frames, weight, share = places[audible], frames[audible], weight[audible], share[audible]
        early = ((phase[places] - turns[places]) / steps[places])[:, None]
        spectrum = np.exp(rfft((1 - weight) * cepstra[frames] + weight * cepstra[frames + 1], axis=1))
        # A pulse carries the power of its whole period; it lies where the phase turned over, between two samples.
        height = np.sqrt(share * (1 - _breath()) / steps[places][:, None])
        pulses = irfft(spectrum * _audible() * height * np.exp(_turn() * early), axis=1)
        for place, pulse in zip(places, pulses, strict=True):
            out[place : place + SIZE] += pulse

    def _add_noise(self, out: NDArray[np.float64], cepstra: NDArray[np.float64], voiced: NDArray[np.float64]) -> None:
        """Add 20 ms of noise around each frame; neighbours share it, so that their windows must add up to 1."""
        white = np.concatenate([self._noise, self._random.standard_normal(len(cepstra) * HOP)])
        self._noise = white[-HOP:]
        grains = np.lib.stride_tricks.sliding_window_view(white, 2 * HOP)[::HOP]
        spectrum = np.exp(rfft(cepstra, axis=1)) * np.sqrt(1 - voiced[:, None] * (1 - _breath())) * _audible()
        coloured = irfft(rfft(grains * _fade(), SIZE) * spectrum, axis=1)
        for frame, grain in enumerate(coloured):
            out[frame * HOP : frame * HOP + SIZE] += grain


def _causal_cepstra(log_amplitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the cepstra whose spectra have that amplitude and minimum phase (Oppenheim and Schafer)."""
    cepstrum = np.asarray(irfft(log_amplitude, axis=1))
    cepstrum[:, 1 : SIZE // 2] *= 2
    cepstrum[:, SIZE // 2 + 1 :] = 0
    return cepstrum


@cache
def _turn() -> NDArray[np.complex128]:
    return np.asarray(2j * np.pi * np.arange(_BINS) / SIZE, np.complex128)


@cache
def _audible() -> NDArray[np.float64]:
    """Give the weights that take away what lies below `LOWEST_HZ`: a voice has nothing there, a pulse would."""
    return np.clip(np.linspace(0, RATE / 2, _BINS) / LOWEST_HZ - 0.5, 0, 1)


@cache
def _fade() -> NDArray[np.float64]:
    return np.hanning(2 * HOP + 1)[:-1]


@cache
def _breath() -> NDArray[np.float64]:
    frequencies = np.linspace(0, RATE / 2, _BINS)
    rise = np.clip((frequencies - BREATH_HZ[0]) / (BREATH_HZ[1] - BREATH_HZ[0]), 0, 1)
    return BREATH[0] + (BREATH[1] - BREATH[0]) * rise


@cache
def _to_bins() -> NDArray[np.float64]:
    """Give the matrix from bands to bins, linear between centres, flat beyond the ends; shape (80, 513)."""
    places = np.interp(np.linspace(0, RATE / 2, _BINS), centres(), np.arange(BANDS))
    low = np.minimum(places.astype(int), BANDS - 2)
    matrix = np.zeros((BANDS, _BINS))
    matrix[low, np.arange(_BINS)] = 1 - (places - low)
    matrix[low + 1, np.arange(_BINS)] = places - low
    return matrix
