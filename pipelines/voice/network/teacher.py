"""The teacher: an open recogniser that says which phone each frame of a recording is.

PocketSphinx (Huggins-Daines and others, ICASSP 2006), whose wheel holds its acoustic model, dictionary and language
model, all of English. Where the text is not known it is what was recognised; a forced alignment then gives the phones.
Words that it mishears still sound like what was said, which is all that is asked here.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from masking.voice.types import HOP, RATE, Mono
from pipelines.voice.network.phones import Segment, classes_of

PAUSE: Final = 10
"""Frames of faint noise that are put around a recording: a word that fills its file begins and ends in no silence."""
_NOISE: Final = 8
_FULL: Final = 32767
_MEANS: Final = "40,3,-1,0,0,0,0,0,0,0,0,0,0"
"""Cepstral means that every recording begins with, so that none depends on those before it."""
_VARIANT: Final = re.compile(r"\(\d+\)")


def taught(samples: Mono, text: str | None, frames: int) -> NDArray[np.int16] | None:
    """Say what each frame of a recording is.

    Args:
        samples: Shape (n,), at 16 kHz.
        text: Words that are said, None where they are not known.
        frames: How many frames are asked for, see `masking.voice.mel`.

    Returns:
        Classes as of `pipelines.voice.network.phones`, shape (frames,); None where no words or no alignment were found.
    """
    sound = _sound(samples)
    try:
        words = text if text is not None else _words(sound)
        segments = list(_aligned(sound, words)) if words else []
    except RuntimeError:
        # A word that is in no dictionary, or no path through the sound: the decoder is of no more use after that.
        _decoder.cache_clear()
        return None
    return classes_of(segments, frames) if segments else None


@cache
def _decoder() -> Decoder:
    return Decoder(samprate=RATE, loglevel="FATAL")


def _sound(samples: Mono) -> bytes:
    faint = np.random.default_rng(0).integers(-_NOISE, _NOISE, (2, PAUSE * HOP)).astype("<i2")
    whole = np.round(np.clip(samples, -1, 1) * _FULL).astype("<i2")
    return np.concatenate([faint[0], whole, faint[1]]).tobytes()


def _hear(sound: bytes) -> None:
    decoder = _decoder()
    decoder.set_cmn(_MEANS)
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _words(sound: bytes) -> str:
    _decoder().activate_search("_default")
    _hear(sound)
    words = (_VARIANT.sub("", each.word) for each in _decoder().seg() or ())
    return " ".join(word for word in words if not word.startswith(("<", "[")))


def _aligned(sound: bytes, words: str) -> Iterator[Segment]:
    decoder = _decoder()
    decoder.set_align_text(words)
    _hear(sound)
    if decoder.hyp() is None:
        return
    decoder.set_alignment()
    _hear(sound)
    for word in decoder.get_alignment():
        for phone in word:
            for state, each in enumerate(phone):
                yield Segment(phone.name, state, each.start - PAUSE, each.duration)
