"""What a caller may wish of masking, checked before any work is done."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Final

from masking.errors import PolicyError
from masking.face.maskers import STYLES, TONED
from masking.face.search import EFFORTS
from masking.selection import Selection
from masking.voice.policy import VoicePolicy

LOWEST_THRESHOLD, HIGHEST_THRESHOLD = 0.01, 0.99
KEY_BYTES: Final = 32
DOUBTS: Final = ("mask", "withhold")
TONES: Final = ("drop", "keep")
SOUNDS: Final = ("drop", "keep", "mask")
UNTOUCHED: Final = ("code", "copy")


@dataclass(frozen=True, slots=True)
class Policy:
    """How to mask faces.

    Attributes:
        style: A name in `STYLES`; ``averages`` only where the model has them.
        threshold: Detector score in [0.01, 0.99] from which a face is masked; lower masks more.
        search: A name in `EFFORTS`: ``thorough`` looks in many ways, ``fast`` costs a quarter of it.
        selection: Regions that a person wants masked in addition, or kept.
        key: Secret from which each face's surrogate is drawn; a fresh one for each policy unless given, so that
            nobody can link two answers by their surrogates.
        tone: ``drop``, or ``keep`` for surrogates whose skin is light, medium or dark as the face's own, which tells
            people apart; in the style ``surrogate`` alone.

    Raises:
        PolicyError: A name is unknown or a value out of range.
    """

    style: str = "solid"
    threshold: float = 0.2
    search: str = "thorough"
    selection: Selection = field(default_factory=Selection)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)
    tone: str = "drop"

    def __post_init__(self) -> None:
        _known("style", self.style, STYLES)
        _known("search", self.search, EFFORTS)
        check_threshold(self.threshold)
        _known("tone", self.tone, TONES)
        if self.tone == "keep" and self.style != TONED:
            raise PolicyError(f"skin tone can be kept in the style {TONED} alone")

    def facts(self) -> dict[str, object]:
        """Give what was asked for as values that JSON knows; of the selection its rows, of the key nothing."""
        told = asdict(self)
        del told["key"]
        return told | {"selection": self.selection.to_json() if self.selection.rows else None}

    @property
    def digest(self) -> str:
        """The first 16 hex digits of SHA-256 over the facts: two runs with the same digest were asked the same."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class VideoPolicy(Policy):
    """How to mask a video.

    Attributes:
        search: As in `Policy`; a face that one look misses is carried by the frames around, so ``fast`` is the default.
        doubt: What happens to a frame in which a face may be open: ``mask`` masks all of it, ``withhold`` gives no
            video at all. Either way a person is told.
        sound: ``drop``, ``keep`` for the voices as they are, or ``mask`` for other voices.
        voice: How voices are masked, where they are.
        untouched: ``code`` codes all frames anew; ``copy`` copies the packets of H.264 where a whole group of pictures
            has nothing masked, and codes the rest.

    Raises:
        PolicyError: As in `Policy`.
    """

    search: str = "fast"
    doubt: str = "mask"
    sound: str = "drop"
    voice: VoicePolicy = field(default_factory=VoicePolicy)
    untouched: str = "code"

    def __post_init__(self) -> None:
        Policy.__post_init__(self)
        _known("doubt", self.doubt, DOUBTS)
        _known("sound", self.sound, SOUNDS)
        _known("untouched", self.untouched, UNTOUCHED)

    def facts(self) -> dict[str, object]:
        """Give what was asked for as in `Policy`; of voices and copies only where there may be any."""
        told = Policy.facts(self)
        del told["voice"]
        if self.untouched == "code":
            del told["untouched"]
        return told | ({"voice": self.voice.facts()} if self.sound == "mask" else {})


def check_threshold(threshold: float) -> None:
    """Raise PolicyError unless the threshold lies in [0.01, 0.99]."""
    if not (isfinite(threshold) and LOWEST_THRESHOLD <= threshold <= HIGHEST_THRESHOLD):
        raise PolicyError(f"the threshold must lie between {LOWEST_THRESHOLD} and {HIGHEST_THRESHOLD}")


def _known(what: str, name: str, names: object) -> None:
    known = list(names)  # type: ignore[call-overload]
    if name not in known:
        raise PolicyError(f"unknown {what}; known are {', '.join(known)}")
