"""Frames of sound as the judges of voices see them: cepstra, loudness, pitch; independent of what the maskers use."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct

from masking.evaluation.voice.types import Choice, Floats
from masking.voice.types import Mono

RATE = 16_000
FRAME = 400
HOP = 160
FFT = 512
MELS = 40
CEPSTRA = 24
LOW_HZ, HIGH_HZ = 60.0, 7600.0
SPEECH_BELOW_PEAK_DB = 35.0
PITCH_FRAME = 640
PITCH_HZ = (60.0, 400.0)
VOICED = 0.45


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """One utterance every 10 ms.

    Attributes:
        mel: (n, 40) log power per mel band.
        cepstra: (n, 24) cosine transform of ``mel`` without its mean.
        loudness: (n,) log power.
        pitch: (n,) natural log of the fundamental in Hz; nan where unvoiced.
        clarity: (n,) height of the autocorrelation's peak in [0, 1].
        speech: (n,) whether the frame is within 35 dB of the loud ones.
    """

    mel: Floats
    cepstra: Floats
    loudness: Floats
    pitch: Floats
    clarity: Floats
    speech: Choice


def analyse(samples: Mono) -> Frames:
    """Describe an utterance of at least one frame; a shorter one is filled up with zeros."""
    sound = np.zeros(max(len(samples), PITCH_FRAME), np.float64)
    sound[: len(samples)] = samples
    windows = sliding_window_view(np.pad(sound, (FRAME // 2, FRAME // 2)), FRAME)[::HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(FRAME), FFT)) ** 2
    bands = power @ _filters().T
    floor = max(1e-9 * float(bands.max()), 1e-12)
    mel = np.log(np.maximum(bands, floor))
    loudness = np.log(np.maximum(power.mean(axis=1), floor))
    speech = loudness > np.percentile(loudness, 95) - SPEECH_BELOW_PEAK_DB * np.log(10) / 10
    cepstra = np.asarray(dct(mel, type=2, axis=1, norm="ortho")[:, 1 : CEPSTRA + 1], np.float64)
    pitch, clarity = _pitch(sound, len(mel))
    return Frames(mel, cepstra, loudness, np.where(speech, pitch, np.nan), clarity, speech)


def slopes(rows: Floats, reach: int = 2) -> Floats:
    """Regression slope over ``reach`` frames each way, per frame (n, d)."""
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    n = len(rows)
    total = sum(
        lag * (padded[reach + lag : reach + lag + n] - padded[reach - lag : reach - lag + n])
        for lag in range(1, reach + 1)
    )
    return np.asarray(total) / (2 * sum(lag**2 for lag in range(1, reach + 1)))


def _pitch(sound: Floats, frames: int) -> tuple[Floats, Floats]:
    """Log pitch and clarity from the normalised autocorrelation (Boersma, IFA Proceedings 17, 1993)."""
    windows = sliding_window_view(np.pad(sound, (PITCH_FRAME // 2, PITCH_FRAME // 2)), PITCH_FRAME)[::HOP][:frames]
    shape = np.hanning(PITCH_FRAME)
    spectrum = np.fft.rfft((windows - windows.mean(axis=1, keepdims=True)) * shape, 2 * PITCH_FRAME)
    lags = np.fft.irfft(np.abs(spectrum) ** 2)[:, :PITCH_FRAME]
    own = np.fft.irfft(np.abs(np.fft.rfft(shape, 2 * PITCH_FRAME)) ** 2)[:PITCH_FRAME]
    first, last = int(RATE / PITCH_HZ[1]), int(RATE / PITCH_HZ[0])
    heights = lags[:, : last + 2] / np.maximum(lags[:, :1], 1e-12) / (own[: last + 2] / own[0])
    # A small price for long lags keeps the octave below from winning.
    place = first + np.argmax(heights[:, first : last + 1] - 0.02 * np.log2(np.arange(first, last + 1) / first), axis=1)
    row = np.arange(len(heights))
    before, at, after = heights[row, place - 1], heights[row, place], heights[row, place + 1]
    bend = before - 2 * at + after
    shift = np.where(np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-9, bend, 1), 0)
    clarity = np.clip(at, 0, 1)
    return np.where(clarity > VOICED, np.log(RATE / (place + np.clip(shift, -1, 1))), np.nan), clarity


@lru_cache(maxsize=1)
def _filters() -> Floats:
    """Triangles (40, 257) of equal width on the mel scale (O'Shaughnessy, 1987)."""
    edges = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), MELS + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * RATE / FFT
    rise = (bins - hertz[:-2, None]) / (hertz[1:-1] - hertz[:-2])[:, None]
    fall = (hertz[2:, None] - bins) / (hertz[2:] - hertz[1:-1])[:, None]
    return np.asarray(np.maximum(np.minimum(rise, fall), 0), np.float64)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
