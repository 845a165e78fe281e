"""Defaults that others may lay over those of an installation: values come from people, as JSON has them."""

from collections.abc import Mapping
from typing import Any, Final

from masking.errors import PolicyError
from masking.policy import Policy
from masking.voice.policy import VoicePolicy

TEXT: Final = (str, "a text")
NUMBER: Final = ((int, float), "a number")
SWITCH: Final = (bool, "true or false")
Kinds = Mapping[str, tuple[Any, str]]
FACES: Final[Kinds] = {"style": TEXT, "threshold": NUMBER, "search": TEXT, "tone": TEXT}
VOICES: Final[Kinds] = {"style": TEXT, "background": TEXT, "consistent": SWITCH}
Ranks = Mapping[str, Mapping[Any, int]]
FACE_RANKS: Final[Ranks] = {
    "style": {"solid": 0, "surrogate": 1, "averages": 1, "pixelate": 2, "blur": 3},
    "search": {"thorough": 0, "fast": 1},
    "tone": {"drop": 0, "keep": 1},
}
"""How much each value leaves of a person, compared with the others of the same name: more is worse."""
VOICE_RANKS: Final[Ranks] = {
    "style": {"strong": 0, "one-voice": 1, "disguise": 2},
    "background": {"drop": 0, "keep": 1},
    "consistent": {False: 0, True: 1},
}
"""The same of voices."""
COSMETIC: Final = frozenset({"pixelate", "blur", "disguise"})
"""Styles that make nobody anonymous, as their labels say."""
MEASURED_THRESHOLD: Final = 0.5
"""The highest threshold that the benchmarks look at, where many more faces are lost than at .2."""


def check_face_defaults(values: Mapping[str, Any]) -> None:
    """Raise PolicyError where they name what is no default of faces, or a value that there is not."""
    _check(values, FACES)
    Policy(**values)


def check_voice_defaults(values: Mapping[str, Any]) -> None:
    """Raise PolicyError where they name what is no default of voices, or a value that there is not."""
    _check(values, VOICES)
    VoicePolicy(**values)


def _check(values: Mapping[str, Any], kinds: Kinds) -> None:
    if values.keys() - kinds:
        raise PolicyError(f"a policy may say {', '.join(sorted(kinds))}")
    for name, value in values.items():
        kind, told = kinds[name]
        # For Python true is a number, too.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PolicyError(f"{name} of a policy is {told}")
