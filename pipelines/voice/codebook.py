"""The codebook: a few averages of what many speakers sound like, and no frame of anybody comes out but one of them.

Frames are first freed of level and of the speaker's own long-term spectrum; k-means (Lloyd, 1982) then finds what is
said alike. An entry is the mean over speakers of each one's mean, so that nobody counts for more because of having said
more, and every entry has at least so many speakers in it: k-same of Newton, Sweeney and Malin (IEEE TKDE 17, 2005).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from masking.voice.mel import whole
from masking.voice.pitch import REACH, VOICED, strengths
from masking.voice.types import BANDS, Mono

CEPSTRA: Final = 26
"""Cosines of the spectrum that entries are told apart by; finer ones are harmonics of the pitch."""
LOUD: Final = 2.5
"""How far below the loudest frames of a recording, in nepers, a frame still counts."""
ROUNDS: Final = 12
_AT_ONCE: Final = 8192

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Frames of one recording: whose, ``mel`` (n, 80) as of `masking.voice.mel`, and ``voiced`` (n,) in {0, 1}."""

    speaker: str
    mel: Floats
    voiced: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """Averages of speakers.

    Attributes:
        centres: Shape (e, 80): what is compared, free of level and of the speaker.
        shapes: Shape (e, 80): log amplitude per band of the average voice, its mean over the bands 0.
        voicing: Shape (e,): share of the frames that are voiced.
        speakers: Shape (e,): how many speakers each entry is an average of.
        average: Shape (80,): log amplitude per band of the average voice over all that was said, loud as it was.
    """

    centres: Floats
    shapes: Floats
    voicing: Floats
    speakers: NDArray[np.int64]
    average: Floats


class TooFewSpeakers(Exception):
    """There are not even two speakers to average."""


def recording(speaker: str, samples: Mono) -> Recording:
    """Analyse one recording, shape (n,), at 16 kHz."""
    mel = whole(samples)
    padded = np.pad(samples, (REACH, 2 * REACH))
    voiced = (strengths(padded).max(axis=1) > VOICED)[: len(mel)]
    return Recording(speaker, mel, voiced.astype(np.float32))


def learn(recordings: Sequence[Recording], entries: int, least_speakers: int, seed: int) -> Codebook:
    """Learn a codebook.

    Args:
        recordings: What is learned from; recordings of one speaker are one recording to this.
        entries: How many averages there are at most; those that too few speakers share are given up.
        least_speakers: Speakers in each entry, or all there are where they are fewer.
        seed: Of what is drawn.

    Raises:
        TooFewSpeakers: There are fewer than two speakers with loud frames.
    """
    names = sorted({each.speaker for each in recordings})
    rows, owner, voiced, average = _normalised(recordings, names)
    present = np.unique(owner)
    if len(present) < 2:
        raise TooFewSpeakers("speech of at least two speakers is needed to average")
    least = min(least_speakers, len(present))
    rng = np.random.default_rng(seed)
    centres = rows[rng.choice(len(rows), min(entries, len(rows)), replace=False)]
    for _ in range(ROUNDS):
        nearest = _nearest(rows, centres)
        centres = _averages(rows, nearest, owner, len(centres), len(names))[0]
        centres = centres[np.isfinite(centres).all(axis=1)]
    while True:
        nearest = _nearest(rows, centres)
        averages, counts = _averages(rows, nearest, owner, len(centres), len(names))
        if counts.min() >= least:
            break
        # One at a time: those who lose their entry fill others, which may be enough then.
        centres = np.delete(centres, int(counts.argmin()), axis=0)
    share = np.bincount(nearest, voiced, len(centres)) / np.bincount(nearest, minlength=len(centres))
    shapes = averages + average - average.mean()
    return Codebook(_smooth(averages), shapes, share.astype(np.float32), counts, average)


def _normalised(
    recordings: Sequence[Recording], names: Sequence[str]
) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
    """Give the loud frames without level and speaker, whose they are, whether voiced, and the mean over speakers."""
    rows, owner, voiced, means = [], [], [], []
    for number, name in enumerate(names):
        own = [each for each in recordings if each.speaker == name and len(each.mel)]
        loud = [_loud(each.mel) for each in own]
        if not own:
            continue
        mel = np.concatenate([each.mel[keep] for each, keep in zip(own, loud, strict=True)])
        shape = mel - mel.mean(axis=1, keepdims=True)
        means.append(mel.mean(axis=0))
        rows.append(shape - shape.mean(axis=0))
        owner.append(np.full(len(mel), number))
        voiced.append(np.concatenate([each.voiced[keep] for each, keep in zip(own, loud, strict=True)]))
    if not rows:
        raise TooFewSpeakers("there is no speech")
    average = np.mean(means, axis=0).astype(np.float32)
    return np.concatenate(rows).astype(np.float32), np.concatenate(owner), np.concatenate(voiced), average


def _loud(mel: Floats) -> NDArray[np.bool_]:
    level = mel.mean(axis=1)
    return np.asarray(level > np.percentile(level, 95) - LOUD, np.bool_)


def _smooth(rows: Floats) -> Floats:
    """Keep the slow cosines of spectra (n, 80): a projection, so that products with its image need no other."""
    basis = dct(np.eye(BANDS), type=2, norm="ortho", axis=0)[:CEPSTRA].astype(np.float32)
    return np.asarray(rows @ (basis.T @ basis), np.float32)


def _nearest(rows: Floats, centres: Floats) -> NDArray[np.int64]:
    smooth = _smooth(centres)
    half = 0.5 * np.square(smooth).sum(axis=1)
    parts = range(0, len(rows), _AT_ONCE)
    return np.concatenate([np.argmin(half - rows[i : i + _AT_ONCE] @ smooth.T, axis=1) for i in parts])


def _averages(
    rows: Floats, nearest: NDArray[np.int64], owner: NDArray[np.int64], entries: int, people: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Give for each entry the mean over speakers of their means, nan where it has none, and how many they are."""
    cell = nearest * people + owner
    order = np.argsort(cell, kind="stable")
    used, first, count = np.unique(cell[order], return_index=True, return_counts=True)
    means = np.add.reduceat(rows[order], first, axis=0) / count[:, None]
    speakers = np.bincount(used // people, minlength=entries)
    sums = np.zeros((entries, rows.shape[1]), np.float64)
    np.add.at(sums, used // people, means)
    averages = sums / np.where(speakers, speakers, np.nan)[:, None]
    return averages.astype(np.float32), speakers
