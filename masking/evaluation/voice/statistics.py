"""What an utterance says of its speaker in plain numbers: timbre, its spread and its movement, pitch and rhythm."""

from itertools import pairwise

import numpy as np

from masking.evaluation.voice.spectra import CEPSTRA, Frames, slopes
from masking.evaluation.voice.types import Floats

SHAPE = 8
MODULATION_HZ = (0.5, 1.0, 2.0, 3.0, 4.5, 6.5, 9.0, 13.0, 20.0)
BROAD = ((0, 8), (8, 16), (16, 26), (26, 40))


def statistics(frames: Frames) -> Floats:
    """Describe an utterance by one row of numbers (d,), of the same meaning for every utterance."""
    return np.concatenate([_timbre(frames), _movement(frames), _pitch(frames), _rhythm(frames)])


def _timbre(frames: Frames) -> Floats:
    """Mean, spread, skew and quantiles of the cepstra; their means by voicing; how they vary together."""
    rows = frames.cepstra[frames.speech]
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = (rows - mean) / spread
    voiced = np.isfinite(frames.pitch[frames.speech])
    together = (standard[:, :SHAPE].T @ standard[:, :SHAPE] / len(rows))[np.triu_indices(SHAPE, 1)]
    return np.concatenate(
        [
            mean,
            np.log(spread),
            np.mean(standard**3, axis=0),
            np.percentile(rows[:, : CEPSTRA // 2], (10, 90), axis=0).ravel(),
            _mean(rows[voiced], mean),
            _mean(rows[~voiced], mean),
            together,
        ]
    )


def _movement(frames: Frames) -> Floats:
    first = slopes(frames.cepstra)
    second = slopes(first)
    return np.concatenate([np.log(each[frames.speech].std(axis=0) + 1e-6) for each in (first, second)])


def _pitch(frames: Frames) -> Floats:
    """Level, range and movement of the melody, and how clear and how often the voice is."""
    voiced = np.isfinite(frames.pitch)
    melody = frames.pitch[voiced]
    if len(melody) < 3:
        return np.zeros(14)
    steps = np.diff(frames.pitch)
    steps = steps[np.abs(np.nan_to_num(steps, nan=9.0)) < 0.2]
    steps = steps if len(steps) else np.zeros(1)
    starts = np.sum(voiced[1:] & ~voiced[:-1])
    clarity = frames.clarity[voiced]
    return np.concatenate(
        [
            [melody.mean(), melody.std()],
            np.percentile(melody, (5, 25, 50, 75, 95)),
            [steps.std(), np.abs(steps).mean(), steps.mean()],
            [clarity.mean(), clarity.std(), voiced.sum() / max(frames.speech.sum(), 1), starts / len(voiced) * 100],
        ]
    )


def _rhythm(frames: Frames) -> Floats:
    """Modulation spectra of the loudness and of four broad bands; share and number of the pauses."""
    bands = [frames.loudness, *(frames.mel[:, low:high].mean(axis=1) for low, high in BROAD)]
    curves = np.maximum(np.stack(bands), np.max(bands) - 12)
    curves = curves - curves.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(curves * np.hanning(curves.shape[1]), 2048, axis=1)) ** 2
    hertz = np.arange(power.shape[1]) * 100 / 2048
    parts = [power[:, (hertz >= low) & (hertz < high)].sum(axis=1) for low, high in pairwise(MODULATION_HZ)]
    shares = np.log(np.stack(parts, axis=1) / (np.sum(parts, axis=0)[:, None] + 1e-9) + 1e-6)
    pauses = np.sum(~frames.speech[1:] & frames.speech[:-1]) / len(frames.speech) * 100
    spread = frames.loudness[frames.speech].std()
    return np.concatenate([shares.ravel(), curves.std(axis=1), [frames.speech.mean(), pauses, spread]])


def _mean(rows: Floats, otherwise: Floats) -> Floats:
    return np.asarray(rows.mean(axis=0)) if len(rows) else otherwise
