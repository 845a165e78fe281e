"""The styles of masked voices, by name.

- ``disguise`` moves pitch and formants by amounts that are drawn; it is light, and not anonymous.
- ``one-voice`` takes everybody's mean spectrum, vocal tract and pitch away and gives all the same ones.
- ``strong`` says again, in the average voice of many people, what a trained bottleneck heard; the default.
"""

from collections.abc import Callable
from typing import Final, Protocol

from masking.errors import PolicyError
from masking.voice.loading import VoiceGraph, VoiceModel
from masking.voice.maskers.disguise import Disguise
from masking.voice.maskers.frames import FrameConverter, Style
from masking.voice.maskers.one_voice import OneVoice
from masking.voice.maskers.strong import Strong
from masking.voice.pseudo import PseudoVoice
from masking.voice.types import Mono

DEFAULT: Final = "strong"
_STYLES: Final[dict[str, Callable[[VoiceGraph], Style]]] = {
    "disguise": Disguise,
    "one-voice": OneVoice,
    "strong": Strong,
}
STYLES: Final = tuple(_STYLES)


class Converter(Protocol):
    """One stream of speech on its way into another voice.

    Sample i of what comes out belongs to sample i of what went in, and in all there are as many of them.
    """

    @property
    def delay(self) -> int:
        """Samples that are held back at most."""

    def feed(self, samples: Mono, voice: PseudoVoice) -> Mono:
        """Take samples that are to be said in that voice, give what is done; cutting otherwise changes nothing."""

    def finish(self) -> Mono:
        """Give the rest."""


def converter(style: str, model: VoiceModel) -> Converter:
    """Make the converter of a style.

    Args:
        style: A name in `STYLES`.
        model: Gives the styles what they need of it.

    Raises:
        PolicyError: The name is unknown.
    """
    if style not in _STYLES:
        raise PolicyError(f"unknown voice style; known are {', '.join(STYLES)}")
    return FrameConverter(_STYLES[style](model.graph))
