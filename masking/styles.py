"""What each style does, and what it does not, in a line: the same words wherever styles are offered."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FACE_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "solid": "Black, the same for everybody: nothing of the face is left.",
        "surrogate": "An artificial head, drawn at random; of the face it keeps size, place, tilt and a coarse pose.",
        "averages": "The mean of at least twenty people, drawn at random; where the model was trained with so many.",
        "pixelate": "Cosmetic: the rough shades of the face are left, and people are recognised by them.",
        "blur": "Cosmetic: more is left than by pixelate, and people are recognised by it.",
    }
)
VOICE_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "strong": "A trained bottleneck: what is said goes through, little of who says it does.",
        "one-voice": "Everybody is given one average voice; way of speaking and pitch movement are left.",
        "disguise": "Light: the voice sounds different; nobody is anonymous, who knows the method recognises people.",
    }
)
