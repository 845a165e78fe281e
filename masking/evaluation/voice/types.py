"""The values that the judges of voices work on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masking.voice.types import Mono

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Choice = NDArray[np.bool_]

Mask = Callable[[Mono, int], Mono]
"""Masks one utterance (n,) into one as long, with a number that draws whatever is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one person said at one time.

    Attributes:
        speaker: a name for the person.
        samples: (n,) float32 in [-1, 1] at 16 kHz.
        group: persons of one group sound alike at first hearing, and only they are mistaken for each other: the sex
            where it is known. Empty where it is not; then the height of the unmasked voice tells.
    """

    speaker: str
    samples: Mono
    group: str = ""
