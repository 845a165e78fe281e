"""One line for each style."""

from collections.abc import Mapping
from types import MappingProxyType

STYLES: Mapping[str, str] = MappingProxyType(
    {
        "solid": "One colour over the whole head; nothing of the face is left. The default.",
        "pixelate": "A coarse mosaic. Softer to look at; the rough shades of the face are left.",
        "blur": "A strong blur. Softer still; do not use it where somebody might try to recognise the person.",
        "surrogate": "An artificial face, drawn at random with a secret key; it keeps coarse steps of pose and light.",
        "averages": "The mean face of at least 20 people, drawn likewise; where the model was trained with so many.",
    }
)
