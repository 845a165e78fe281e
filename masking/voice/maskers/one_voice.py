"""``one-voice``: everybody's mean spectrum is taken away, the average one is given, all in one pitch."""

from typing import Final

import numpy as np

from masking.voice.envelope import analyse
from masking.voice.loading import VoiceGraph
from masking.voice.maskers.frames import Heard, Said
from masking.voice.maskers.intonation import Intonation, Melody
from masking.voice.pseudo import AVERAGE
from masking.voice.types import BANDS

MEMORY: Final = 400.0
"""Frames of speech that the mean spectrum of a speaker remembers."""
TRUST: Final = 50.0
"""Frames that the average voice weighs as much as, before anything is known of a speaker."""
FAINT: Final = -7.0
"""Mean log amplitude below which a frame says nothing of a speaker."""


class OneVoice:
    """Envelopes about their own running mean, moved to the average; see `masking.voice.maskers.frames.Style`."""

    left = 0
    right = 0

    def __init__(self, graph: VoiceGraph) -> None:
        self._average = graph.average.astype(np.float64)
        self._intonation = Intonation(Melody())
        self._mean = self._average.copy()
        self._weight = TRUST

    def say(self, heard: Heard) -> Said:
        """Take the mean away that was heard so far, and give the average."""
        if heard.begins:
            self._mean, self._weight = self._average.copy(), TRUST
        own = analyse(heard.samples, heard.pitch)
        envelope = np.empty((len(own), BANDS), np.float32)
        for index, frame in enumerate(own):
            level = float(frame.mean())
            if level > FAINT:
                self._weight = min(self._weight + 1, MEMORY)
                # Of the shape alone: how loud somebody speaks is not kept in the mean.
                self._mean += (frame - level + self._average.mean() - self._mean) / self._weight
            envelope[index] = frame - self._mean + self._average
        pitch = self._intonation.follow(heard.pitch, AVERAGE, heard.begins)
        return Said(envelope, pitch, np.where(heard.pitch > 0, np.float32(1), np.float32(0)))
