"""Procedural voices: speakers who do not exist, drawn from numbers alone, who say words that mean nothing.

Formant synthesis as in Klatt, "Software for a cascade/parallel formant synthesizer", JASA 67, 1980. It is for training
and tests that need no recording of anybody; figures measured on it say little about people.
"""

from masking.voice.procedural.phones import PHONES, SILENCE, Phone
from masking.voice.procedural.speaker import Speaker
from masking.voice.procedural.speech import Segment, Speech, speak
from masking.voice.procedural.words import lexicon

__all__ = ["PHONES", "SILENCE", "Phone", "Segment", "Speaker", "Speech", "lexicon", "speak"]
