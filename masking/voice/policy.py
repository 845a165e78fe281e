"""What a caller may wish of masking voices, checked before any work is done."""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field
from typing import Final

from masking.errors import PolicyError
from masking.voice.maskers import STYLES

KEY_BYTES: Final = 32
BACKGROUNDS: Final = ("drop", "keep")


@dataclass(frozen=True, slots=True)
class VoicePolicy:
    """How to mask voices.

    Attributes:
        style: A name in `STYLES`.
        background: What becomes of sound that is not speech: ``drop`` makes it silence, ``keep`` leaves it as it is. A
            word that is not found to be speech is lost with the one, and open with the other.
        consistent: Whether one speaker of a file keeps one pseudo-voice; else each utterance has its own. Whoever
            hears one then knows what else of the file the same person said, and has more speech to tell him by.
        key: Secret from which the pseudo-voices are drawn, at least 16 bytes; a fresh one for each policy unless given,
            so that nobody can link two files by their pseudo-voices.

    Raises:
        PolicyError: A name is unknown, or the key is short.
    """

    style: str = "strong"
    background: str = "drop"
    consistent: bool = False
    key: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_BYTES), repr=False)

    def __post_init__(self) -> None:
        for what, name, known in (("voice style", self.style, STYLES), ("background", self.background, BACKGROUNDS)):
            if name not in known:
                raise PolicyError(f"unknown {what}; known are {', '.join(known)}")
        if len(self.key) < KEY_BYTES // 2:
            raise PolicyError(f"a key has at least {KEY_BYTES // 2} bytes")

    def facts(self) -> dict[str, object]:
        """Give what was asked for as values that JSON knows; of the key nothing."""
        told = asdict(self)
        del told["key"]
        return told

    @property
    def digest(self) -> str:
        """The first 16 hex digits of SHA-256 over the facts: two runs with the same digest were asked the same."""
        return hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()[:16]

    def number(self, index: int) -> int:
        """Draw the 64-bit number of the pseudo-voice of an utterance or speaker (HMAC-SHA256).

        Args:
            index: Number of the utterance or speaker in its file, from 0.
        """
        return int.from_bytes(hmac.digest(self.key, b"voice" + index.to_bytes(8, "big"), "sha256")[:8], "big")
