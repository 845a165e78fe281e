"""What a listener keeps: the melody, which is also a leak, the length, and the sync."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from masking.evaluation.voice.spectra import HOP, RATE, analyse
from masking.evaluation.voice.types import Floats
from masking.voice.pitch import pitch_of
from masking.voice.types import Mono

LEAST_VOICED = 10
SYNC_FRAMES = 50


@dataclass(frozen=True, slots=True)
class VoiceUtility:
    """What masked utterances have in common with the unmasked.

    Attributes:
        utterances: how many were compared.
        pitch_correlation: mean correlation of the logarithm of the pitch where both are voiced: intonation that is
            kept, and by which a speaker may be known; nan where nothing is voiced in both.
        voicing_agreement: share of the frames that are voiced in both or in neither.
        same_length: whether every utterance is as long as it was, to the sample.
        sync_milliseconds: median shift of the loudness against the unmasked; 0 where they are in sync.
    """

    utterances: int
    pitch_correlation: float
    voicing_agreement: float
    same_length: bool
    sync_milliseconds: float

    def facts(self) -> dict[str, Any]:
        """Give the figures as JSON knows them."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare(plain: Sequence[Mono], masked: Sequence[Mono]) -> VoiceUtility:
    """Compare each utterance with its masked one.

    Raises:
        ValueError: there are none, or not as many of the ones as of the others.
    """
    if not plain or len(plain) != len(masked):
        raise ValueError(f"{len(plain)} utterances cannot be compared with {len(masked)}")
    correlations, agreements, shifts = [], [], []
    for before, after in zip(plain, masked, strict=True):
        count = min(len(before), len(after))
        one, other = _melody(before[:count]), _melody(after[:count])
        first, second = np.isfinite(one), np.isfinite(other)
        agreements.append(float(np.mean(first == second)))
        correlations.append(_correlation(one[first & second], other[first & second]))
        shifts.append(_shift(analyse(before[:count]).loudness, analyse(after[:count]).loudness))
    told = [each for each in correlations if np.isfinite(each)]
    return VoiceUtility(
        utterances=len(plain),
        pitch_correlation=float(np.mean(told)) if told else float("nan"),
        voicing_agreement=float(np.mean(agreements)),
        same_length=all(len(before) == len(after) for before, after in zip(plain, masked, strict=True)),
        sync_milliseconds=float(np.median(shifts)),
    )


def _melody(samples: Mono) -> Floats:
    """Natural logarithm of the pitch in Hz each 10 ms, nan where unvoiced."""
    hertz = pitch_of(samples)[:, 0].astype(np.float64)
    return np.log(np.where(hertz > 0, hertz, np.nan))


def _correlation(one: Floats, other: Floats) -> float:
    if len(one) < LEAST_VOICED or min(one.std(), other.std()) < 1e-6:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _shift(one: Floats, other: Floats) -> float:
    """Milliseconds by which ``other`` lags, at most half a second."""
    first, second = one - one.mean(), other - other.mean()
    reach = min(SYNC_FRAMES, len(one) - 1)
    lags = range(-reach, reach + 1)
    products = [
        float(np.dot(first[max(-lag, 0) : len(first) - max(lag, 0)], second[max(lag, 0) : len(second) + min(lag, 0)]))
        for lag in lags
    ]
    return float(lags[int(np.argmax(products))] * HOP / RATE * 1000)
