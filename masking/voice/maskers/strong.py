"""``strong``: what a trained bottleneck heard is said again in the average voice of many people."""

from masking.voice.loading import VoiceGraph
from masking.voice.maskers.clarity import Clarity
from masking.voice.maskers.frames import Heard, Said
from masking.voice.maskers.intonation import Intonation, Melody
from masking.voice.maskers.spectrum import given


class Strong:
    """Envelopes and voicing by the model, nothing of the speaker's own; see `masking.voice.maskers.frames.Style`."""

    def __init__(self, graph: VoiceGraph) -> None:
        self._graph = graph
        self._intonation = Intonation(Melody())
        self._clarity = Clarity()

    @property
    def left(self) -> int:
        """Frames of the past that the model looks at."""
        return self._graph.left

    @property
    def right(self) -> int:
        """Frames of the future."""
        return self._graph.right

    def say(self, heard: Heard) -> Said:
        """Ask the model, and give a pseudo-voice to what it says."""
        envelope, voicing = self._graph(heard.mel)
        pitch = self._intonation.follow(heard.pitch, heard.voice, heard.begins)
        clear = self._clarity.give(envelope, voicing, heard.begins)
        return Said(given(clear, heard.voice), pitch, voicing)
