"""Operations on envelopes: bands moved along the frequency axis, spectra made brighter, running means."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.voice.mel import centres
from masking.voice.pseudo import PseudoVoice
from masking.voice.types import BANDS, Frames

_DECIBEL: Final = np.log(10) / 20


@lru_cache(maxsize=64)
def warping(warp: float) -> NDArray[np.float32]:
    """Give the matrix that moves what lies at f to f times ``warp``; shape (80, 80), to multiply rows of bands by."""
    places = np.interp(centres() / warp, centres(), np.arange(BANDS))
    low = np.minimum(places.astype(int), BANDS - 2)
    matrix = np.zeros((BANDS, BANDS), np.float32)
    matrix[low, np.arange(BANDS)] = 1 - (places - low)
    matrix[low + 1, np.arange(BANDS)] = places - low
    return matrix


def given(envelope: Frames, voice: PseudoVoice) -> Frames:
    """Give envelopes the vocal tract and the brightness of a voice."""
    tilt = (np.linspace(-voice.tilt, voice.tilt, BANDS) * _DECIBEL).astype(np.float32)
    return np.asarray(envelope @ warping(voice.warp) + tilt, np.float32)
