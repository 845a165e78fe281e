"""The voices that speech is given: drawn by number, so that a secret key draws them."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

LOWEST_HZ: Final = 95.0
HIGHEST_HZ: Final = 215.0
WIDEST: Final = 0.10
"""How far formants are moved at most, as a share of their frequency."""
STEEPEST: Final = 4.0
"""How much brighter or duller a voice is at most, in dB from the bottom to the top of the spectrum."""


@dataclass(frozen=True, slots=True)
class PseudoVoice:
    """A voice that belongs to nobody.

    Attributes:
        pitch_hz: Its mean pitch.
        warp: What its formants are multiplied by: a shorter vocal tract is above 1.
        tilt: Decibels that the top of its spectrum lies above that of the average voice, and the bottom below it.
        seed: Of all else that is drawn while it speaks, 32 bits.
    """

    pitch_hz: float
    warp: float
    tilt: float
    seed: int

    @classmethod
    def draw(cls, number: int) -> Self:
        """Draw a voice; the same for the same number from 0 to 2**64 - 1, in nothing like that of another."""
        random = np.random.default_rng(number)
        # Small vocal tracts go with high voices, but each is drawn by itself, too: nothing tells what the speaker had.
        height = random.uniform(0, 1)
        warp = 1 + WIDEST * np.clip(0.5 * (2 * height - 1) + random.uniform(-0.5, 0.5), -1, 1)
        return cls(
            pitch_hz=float(LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** height),
            warp=float(warp),
            tilt=float(random.uniform(-STEEPEST, STEEPEST)),
            seed=int(random.integers(2**32)),
        )


AVERAGE: Final = PseudoVoice(pitch_hz=140.0, warp=1.0, tilt=0.0, seed=0)
"""The one voice that everybody gets who is to sound like everybody."""
