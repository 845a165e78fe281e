"""Maskers that others use, to be measured beside ours: McAdams and a random change of pitch."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter, resample

from masking.evaluation.voice.types import Floats
from masking.voice.types import Mono

FRAME: Final = 320
HOP: Final = 160
ORDER: Final = 20
ALPHAS: Final = (0.5, 0.9)
SEMITONES: Final = (3.0, 6.0)
STRETCH_FRAME: Final = 1024
STRETCH_HOP: Final = 256


def mcadams(samples: Mono, number: int) -> Mono:
    """Move the formants by raising the angle of every pole to a random power for each utterance.

    Patino et al., "Speaker anonymisation using the McAdams coefficient", Interspeech 2021; baseline B2 of
    VoicePrivacy, its coefficient uniform in [.5, .9]. Length is kept.
    """
    alpha = np.random.default_rng(number).uniform(*ALPHAS)
    padded = np.zeros(FRAME + (len(samples) // HOP + 1) * HOP)
    padded[HOP : HOP + len(samples)] = samples
    window = np.hanning(FRAME + 1)[:-1]
    frames = sliding_window_view(padded, FRAME)[::HOP] * window
    predictors = _predictors(frames)
    moved = _moved(predictors, alpha)
    out = np.zeros_like(padded)
    for index, (frame, before, after) in enumerate(zip(frames, predictors, moved, strict=True)):
        sound = lfilter(before, [1.0], frame)
        sound = lfilter([1.0], after, sound)
        level = np.sqrt(np.sum(frame**2) / max(float(np.sum(sound**2)), 1e-12))
        out[index * HOP : index * HOP + FRAME] += sound * min(level, 10.0)
    return np.clip(out[HOP : HOP + len(samples)], -1, 1).astype(np.float32)


def pitch_shift(samples: Mono, number: int) -> Mono:
    """Shift pitch and formants together by 3 to 6 semitones up or down, at random; the length is kept."""
    if not len(samples):
        return samples.copy()
    rng = np.random.default_rng(number)
    semitones = rng.uniform(*SEMITONES) * rng.choice([-1, 1])
    factor = 2 ** (semitones / 12)
    stretched = _stretched(samples.astype(np.float64), factor)
    return np.clip(resample(stretched, len(samples)), -1, 1).astype(np.float32)


def _predictors(frames: Floats) -> Floats:
    """Linear prediction (n, 21) by the autocorrelation method, solved for all frames at once."""
    spectra = np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2
    lags = np.fft.irfft(spectra)[:, : ORDER + 1]
    lags[:, 0] = lags[:, 0] * (1 + 1e-6) + 1e-9
    place = np.abs(np.arange(ORDER)[:, None] - np.arange(ORDER)[None, :])
    solved = np.linalg.solve(lags[:, place], lags[:, 1:, None])[..., 0]
    return np.concatenate([np.ones((len(frames), 1)), -solved], axis=1)


def _moved(predictors: Floats, alpha: float) -> Floats:
    """The predictors (n, 21) whose complex poles have their angle raised to ``alpha``."""
    companions = np.zeros((len(predictors), ORDER, ORDER))
    companions[:, 0] = -predictors[:, 1:]
    companions[:, np.arange(1, ORDER), np.arange(ORDER - 1)] = 1
    poles = np.linalg.eigvals(companions)
    angles = np.angle(poles)
    bent = np.where(np.abs(poles.imag) > 1e-9, np.sign(angles) * np.abs(angles) ** alpha, angles)
    turned = np.minimum(np.abs(poles), 0.999) * np.exp(1j * np.clip(bent, -np.pi, np.pi))
    polynomial = np.ones((len(predictors), 1), np.complex128)
    for index in range(ORDER):
        grown = np.pad(polynomial, ((0, 0), (0, 1)))
        grown[:, 1:] -= turned[:, index : index + 1] * polynomial
        polynomial = grown
    return np.asarray(polynomial.real)


def _stretched(sound: Floats, factor: float) -> Floats:
    """Make sound ``factor`` times as long at its pitch: a phase vocoder (Flanagan and Golden, 1966)."""
    padded = np.pad(sound, STRETCH_FRAME)
    window = np.hanning(STRETCH_FRAME + 1)[:-1]
    spectra = np.fft.rfft(sliding_window_view(padded, STRETCH_FRAME)[::STRETCH_HOP] * window)
    places = np.arange(0, len(spectra) - 1, 1 / factor)
    low = places.astype(int)
    share = (places - low)[:, None]
    size = (1 - share) * np.abs(spectra[low]) + share * np.abs(spectra[low + 1])
    expected = 2 * np.pi * STRETCH_HOP * np.arange(spectra.shape[1]) / STRETCH_FRAME
    turn = np.angle(spectra[low + 1]) - np.angle(spectra[low]) - expected
    turn = expected + turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    phase = np.angle(spectra[0])[None] + np.cumsum(turn, axis=0) - turn
    frames = np.fft.irfft(size * np.exp(1j * phase)) * window
    out = np.zeros(len(frames) * STRETCH_HOP + STRETCH_FRAME)
    for index, frame in enumerate(frames):
        out[index * STRETCH_HOP : index * STRETCH_HOP + STRETCH_FRAME] += frame
    first = round(STRETCH_FRAME * factor)
    return out[first : first + round(len(sound) * factor)] / 1.5
