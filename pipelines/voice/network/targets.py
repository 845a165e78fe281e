"""What the decoder learns to say: envelopes freed of level, of the speaker's spectrum, and of his tract's length.

The decoder knows nothing but phones, so what it learns for a phone is the mean over all who said it; that mean is sharp
only if their vocal tracts were brought to one length first (Lee and Rose, ICASSP 1996). Each speaker's warp is the one
that brings his spectra nearest to everybody's means of the same states of phones, found in turns with those means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.voice.mel import centres
from masking.voice.types import BANDS
from pipelines.voice.network.frames import Frames
from pipelines.voice.network.phones import CLASSES, SILENCE

GRID: Final = tuple(np.linspace(0.86, 1.16, 13).tolist())
"""Warps that are tried."""
ROUNDS: Final = 4
COMPARED: Final = 65
"""Lowest bands, up to 5 kHz: above, a spectrum tells of fricatives and microphones more than of the tract's length."""
HUSH: Final = 2.5
"""Nepers that silence is said softer than it was: rooms hum, the average voice need not."""
LOWEST: Final = -7.0
HIGHEST: Final = 4.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What each frame should sound like.

    Attributes:
        envelope: Log amplitude per band in the average voice, loud as in speech of level 0; 0 for speakers who are held
            aside; shape (n, 80), float32.
        average: Its mean over speech, each speaker counting once; shape (80,), float32.
        warps: For each speaker, the warp that was found; 1 for those who are held aside.
    """

    envelope: NDArray[np.float32]
    average: NDArray[np.float32]
    warps: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """One speaker's speech: frames per class (c,), their sums (c, 80), and the sum of their outer products (80, 80)."""

    counts: Floats
    sums: Floats
    products: Floats

    @property
    def mean(self) -> Floats:
        return np.asarray(self.sums.sum(axis=0) / self.counts.sum())


@cache
def warp(factor: float) -> NDArray[np.float32]:
    """Give the matrix (80, 80) that moves what lies at f to f times ``factor`` in spectra (n, 80) times it."""
    places = np.interp(centres() / factor, centres(), np.arange(BANDS))
    low = np.minimum(places.astype(int), BANDS - 2)
    matrix = np.zeros((BANDS, BANDS), np.float32)
    matrix[low, np.arange(BANDS)] = 1 - (places - low)
    matrix[low + 1, np.arange(BANDS)] = places - low
    matrix.setflags(write=False)
    return matrix


def targets_of(frames: Frames) -> Targets:
    """Make the targets of all who are not held aside.

    Raises:
        ValueError: There is no speech.
    """
    level = np.zeros(len(frames.classes))
    spoken: dict[int, list[slice]] = {}
    for owner, part in frames.recordings(held=False):
        speech = frames.classes[part] > SILENCE
        if speech.any():
            level[part] = frames.envelope[part][speech].mean(dtype=np.float64)
            spoken.setdefault(owner, []).append(part)
    if not spoken:
        raise ValueError("nobody speaks")
    sums = {owner: _sums(frames, level, parts) for owner, parts in spoken.items()}
    warps = _warps(sums)
    means = {owner: each.mean @ warp(warps[owner]) for owner, each in sums.items()}
    average = np.mean(list(means.values()), axis=0)
    envelope = np.zeros(frames.envelope.shape, np.float32)
    for owner, parts in spoken.items():
        for part in parts:
            warped = (frames.envelope[part] - level[part, None]) @ warp(warps[owner])
            said = np.clip(warped - means[owner] + average, LOWEST, HIGHEST)
            envelope[part] = said - HUSH * (frames.classes[part] == SILENCE)[:, None]
    every = tuple(warps.get(owner, 1.0) for owner in range(len(frames.held)))
    return Targets(envelope, average.astype(np.float32), every)


def _sums(frames: Frames, level: Floats, parts: Sequence[slice]) -> _Sums:
    counts, sums, products = np.zeros(CLASSES), np.zeros((CLASSES, BANDS)), np.zeros((BANDS, BANDS))
    for part in parts:
        speech = frames.classes[part] > SILENCE
        classes = frames.classes[part][speech]
        rows = (frames.envelope[part] - level[part, None])[speech]
        counts += np.bincount(classes, minlength=CLASSES)
        np.add.at(sums, classes, rows)
        products += rows.T @ rows
    return _Sums(counts, sums, products)


def _warps(sums: dict[int, _Sums]) -> dict[int, float]:
    """Find each speaker's warp; together they are 1 on average."""
    found = dict.fromkeys(sums, _nearest(1.0))
    for _ in range(ROUNDS):
        means = _class_means(sums, found)
        found = {owner: min(GRID, key=lambda factor: _distance(each, factor, means)) for owner, each in sums.items()}
        drift = float(np.mean(list(found.values()))) - 1
        found = {owner: _nearest(factor - drift) for owner, factor in found.items()}
    return found


def _nearest(factor: float) -> float:
    return float(min(GRID, key=lambda each: abs(each - factor)))


def _class_means(sums: dict[int, _Sums], warps: dict[int, float]) -> Floats:
    total, count = np.zeros((CLASSES, BANDS)), np.zeros(CLASSES)
    for owner, each in sums.items():
        total += (each.sums - each.counts[:, None] * each.mean) @ warp(warps[owner])
        count += each.counts
    return np.asarray(total / np.maximum(count, 1)[:, None])


def _distance(own: _Sums, factor: float, means: Floats) -> float:
    """Give the sum of squares between a speaker's warped frames and the means.

    Written out in sums over his frames, so that no frame is looked at again: |Mx - m - u|² for the warp M, his warped
    mean m and the mean u of the frame's class.
    """
    matrix = warp(factor)[:, :COMPARED].astype(np.float64)
    shifted = means[:, :COMPARED] + own.mean @ matrix
    squares = float(((own.products @ matrix) * matrix).sum())
    crossed = float(((own.sums @ matrix) * shifted).sum())
    means_alone = float((own.counts * np.square(shifted).sum(axis=1)).sum())
    return squares - 2 * crossed + means_alone
