"""``disguise``: pitch and formants moved by amounts that are drawn. Light: who knows the method undoes it."""

import numpy as np

from masking.voice.envelope import analyse
from masking.voice.loading import VoiceGraph
from masking.voice.maskers.frames import Heard, Said
from masking.voice.maskers.intonation import Intonation, Melody
from masking.voice.maskers.spectrum import given


class Disguise:
    """The speaker's own envelopes, in another's vocal tract; see `masking.voice.maskers.frames.Style`."""

    left = 0
    right = 0

    def __init__(self, graph: VoiceGraph) -> None:
        self._intonation = Intonation(Melody(depth=1.0, step=0.0, shake=0.0, widest=1.0))

    def say(self, heard: Heard) -> Said:
        """Move pitch and formants."""
        envelope = given(analyse(heard.samples, heard.pitch), heard.voice)
        pitch = self._intonation.follow(heard.pitch, heard.voice, heard.begins)
        return Said(envelope, pitch, np.where(heard.pitch > 0, np.float32(1), np.float32(0)))
