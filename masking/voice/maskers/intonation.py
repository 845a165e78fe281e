"""The melody of speech in another voice: how far it is from its own mean, in coarse steps, around the given mean.

Pitch is a leak of its own: its mean tells who speaks, its movement helps to. The mean is taken away as it is heard, the
movement is made smaller, quantised and shaken.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.voice.pseudo import PseudoVoice

SURE: Final = 30.0
"""Voiced frames that the first guess of a speaker's mean weighs as much as."""
MEMORY: Final = 300.0
"""Voiced frames that a mean remembers: 3 s of voice."""


@dataclass(frozen=True, slots=True)
class Melody:
    """What is left of a melody.

    Attributes:
        depth: What movement is multiplied by.
        step: Octaves between two levels that it is rounded to; 0 keeps it as it is.
        shake: Standard deviation of the slow noise that is added, in octaves.
        widest: Octaves from the mean that it may reach.
    """

    depth: float = 0.8
    step: float = 1 / 24
    shake: float = 0.015
    widest: float = 0.5


class Intonation:
    """Follows the melody of one stream, from nothing at each utterance."""

    def __init__(self, melody: Melody) -> None:
        self._melody = melody
        self._random = np.random.default_rng(0)
        self._begin(None)

    def _begin(self, voice: PseudoVoice | None) -> None:
        self._mean, self._weight = 0.0, 0.0
        self._now, self._noise = 0.0, 0.0
        if voice is not None:
            self._random = np.random.default_rng(voice.seed)

    def follow(self, pitch: NDArray[np.float32], voice: PseudoVoice, begins: bool) -> NDArray[np.float32]:
        """Give each frame a pitch in Hz, the unvoiced ones that of the voiced before.

        Args:
            pitch: Hz, 0 where unvoiced, shape (t,).
            voice: Around whose mean it moves.
            begins: Whether an utterance begins, of a speaker that nothing is known of.
        """
        if begins:
            self._begin(voice)
        melody = self._melody
        moved = np.empty(len(pitch))
        shaken = melody.shake * np.sqrt(1 - 0.95**2) * self._random.standard_normal(len(pitch))
        for index, hertz in enumerate(pitch):
            if hertz > 0:
                height = float(np.log2(hertz))
                self._weight = min(self._weight + 1, MEMORY)
                # The first voiced frame is a guess that is soon outvoted: until then the melody is nearly flat.
                self._mean += (height - self._mean) / self._weight
                away = melody.depth * (height - self._mean) * min(1.0, self._weight / SURE)
                away = float(np.clip(away, -melody.widest, melody.widest))
                target = round(away / melody.step) * melody.step if melody.step else away
                # Steps would be heard as clicks of the melody: 30 ms of glide.
                self._now += 0.3 * (target - self._now)
            self._noise = 0.95 * self._noise + shaken[index]
            moved[index] = self._now + self._noise
        return (voice.pitch_hz * 2**moved).astype(np.float32)
