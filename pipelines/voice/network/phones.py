"""What a frame can be heard as: the three states of each of 39 phones, and silence.

Phones are those of the CMU Pronouncing Dictionary without stress; a phone's beginning, middle and end are the states of
a hidden Markov model that runs from left to right, as recognisers have them (Rabiner, Proceedings of the IEEE, 1989).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_VOWELS: Final = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_STOPS: Final = ("B", "CH", "D", "G", "JH", "K", "P", "T")
_OTHERS: Final = ("DH", "F", "HH", "L", "M", "N", "NG", "R", "S", "SH", "TH", "V", "W", "Y", "Z", "ZH")
PHONES: Final = (*_VOWELS, *_STOPS, *_OTHERS)
STATES: Final = 3
CLASSES: Final = 1 + STATES * len(PHONES)
SILENCE: Final = 0
VOICELESS: Final = ("CH", "F", "HH", "K", "P", "S", "SH", "T", "TH")
UNKNOWN: Final = -1
"""A frame of which nothing is known; nothing is learned from it."""
_PLACE: Final = {phone: 1 + STATES * index for index, phone in enumerate(PHONES)}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one state of a phone: frames ``start`` to ``start + count``; pauses and noises are no phones."""

    phone: str
    state: int
    start: int
    count: int


def voiced_of(classes: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Say of each class whether the voice sounds in it, as the phone has it: no speaker's own habits are learned."""
    without = {SILENCE, UNKNOWN, *(_PLACE[phone] + state for phone in VOICELESS for state in range(STATES))}
    return ~np.isin(classes, list(without))


def classes_of(segments: Iterable[Segment], frames: int) -> NDArray[np.int16]:
    """Give the class of each frame, shape (frames,): 0 for silence, -1 for what no segment covers.

    Segments may reach beyond either end.
    """
    classes = np.full(frames, UNKNOWN, np.int16)
    for each in segments:
        place = _PLACE.get(each.phone)
        value = SILENCE if place is None else place + each.state
        classes[max(0, each.start) : max(0, each.start + each.count)] = value
    return classes
