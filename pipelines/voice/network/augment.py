"""Frames as other people, rooms and microphones would have made them: the encoder is to hear phones and no speaker."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.voice.mel import FLOOR
from masking.voice.types import BANDS
from pipelines.voice.network.targets import warp

LOWEST: Final = float(0.5 * np.log(FLOOR))
"""What silence is in a frame, nepers."""
WARPS: Final = tuple(np.linspace(0.84, 1.16, 33).tolist())
LOUDER: Final = 0.9
"""Standard deviation of a stretch's gain, nepers."""
TILTS: Final = (0.0, 0.35, 0.25, 0.2, 0.15, 0.1)
"""Standard deviations of the cosines over the bands that colour a stretch, nepers: microphones and rooms."""
NOISY: Final = 0.7
"""Share of stretches that get noise."""
NOISE: Final = (-9.0, -4.3)
"""Softest and loudest noise, nepers."""
COLOURS: Final = (0.0, 0.8, 0.4, 0.3, 0.2, 0.1)
RIPPLE: Final = 0.35
"""Standard deviation of noise from frame to frame and band to band, nepers."""
BAND_HOLES: Final = 2
WIDEST_HOLE: Final = 9
LONGEST_HOLE: Final = 7
_HOLE: Final = -6.0

Floats = NDArray[np.float32]


def augmented(mel: Floats, rng: np.random.Generator) -> Floats:
    """Give stretches of frames another tract, level, colour, noise, and holes (SpecAugment, Park, Interspeech 2019).

    Args:
        mel: Shape (stretches, frames, 80); it stays as it is.
        rng: All draws come from it.

    Returns:
        The same shape, no value below that of silence.
    """
    count = len(mel)
    out = mel @ _warps()[rng.integers(0, len(WARPS), count)]
    out += rng.normal(0, LOUDER, (count, 1, 1)).astype(np.float32) + _coloured(rng, count, TILTS)
    noise = rng.uniform(*NOISE, (count, 1, 1)).astype(np.float32) + _coloured(rng, count, COLOURS)
    noise = noise + RIPPLE * rng.standard_normal(out.shape, np.float32)
    noisy = rng.random((count, 1, 1)) < NOISY
    # Powers add: what is masked by noise in a room is masked here.
    out = np.maximum(np.where(noisy, 0.5 * np.logaddexp(2 * out, 2 * noise), out), np.float32(LOWEST))
    for each in out:
        _pierce(each, rng)
    return np.asarray(out, np.float32)


def _coloured(rng: np.random.Generator, count: int, deviations: tuple[float, ...]) -> Floats:
    """Draw smooth curves over the bands, shape (count, 1, 80)."""
    weights = rng.standard_normal((count, len(deviations))) * deviations
    turns = np.pi * np.arange(len(deviations))[:, None] * (np.arange(BANDS) + 0.5) / BANDS
    return np.asarray(weights @ np.cos(turns), np.float32)[:, None]


def _pierce(stretch: Floats, rng: np.random.Generator) -> None:
    """Blot out some bands and some frames of one stretch."""
    mean = stretch.mean()
    for _ in range(BAND_HOLES):
        width = int(rng.integers(0, WIDEST_HOLE + 1))
        start = int(rng.integers(0, BANDS - width + 1))
        stretch[:, start : start + width] = mean
    width = int(rng.integers(0, LONGEST_HOLE + 1))
    start = int(rng.integers(0, len(stretch) - width + 1))
    stretch[start : start + width] = _HOLE


@cache
def _warps() -> Floats:
    return np.stack([warp(factor) for factor in WARPS])
