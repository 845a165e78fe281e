"""How much can go wrong with what people ask for, which decides how many of them must approve."""

from collections.abc import Mapping
from typing import Any, Final

from masking.defaults import COSMETIC, FACE_RANKS, MEASURED_THRESHOLD, VOICE_RANKS
from masking.policy import Policy
from masking.voice.policy import VoicePolicy
from mlops.rollout.state import RISKS
from mlops.settings import Settings
from services.control.endpoints import FACES, VOICES

RISK_TAG: Final = "risk_level"
"""Tag of a registered version that says how much can go wrong with it."""
LOW, MEDIUM, HIGH = RISKS


def risk_of(given: str | None, tags: Mapping[str, str], by_policy: str = LOW) -> str:
    """Return the risk of a release: the most of what was said, what the version's tag says, and that of its policy.

    A tag that is no risk counts as the highest.
    """
    tagged = tags.get(RISK_TAG, LOW).strip().lower()
    return _most(given or LOW, tagged if tagged in RISKS else HIGH, by_policy)


def policy_risk(endpoint: str, policy: Mapping[str, Any], settings: Settings) -> str:
    """Return how much can go wrong with a policy, compared with what the settings do without one.

    What protects no less is ``low``; what does is ``medium``; ``high`` is a style that makes nobody anonymous, and a
    threshold above all that was measured.

    Args:
        endpoint: ``faces``, ``voices`` or a generic one, which has no policy.
        policy: One that `services.control.endpoints.check_policy` lets pass.
        settings: The whole tree.
    """
    masking = settings.masking
    if endpoint == FACES:
        faces = Policy(masking.style, masking.threshold, masking.search)
        ranked = {name: value for name, value in policy.items() if name in FACE_RANKS}
        return _most(
            _threshold_risk(policy.get("threshold", faces.threshold), faces.threshold),
            *(_risk(FACE_RANKS[name], value, getattr(faces, name)) for name, value in ranked.items()),
        )
    if endpoint == VOICES:
        voices = VoicePolicy(masking.voice_style, masking.voice_background)
        return _most(*(_risk(VOICE_RANKS[name], value, getattr(voices, name)) for name, value in policy.items()))
    return LOW


def _threshold_risk(threshold: float, without: float) -> str:
    if threshold <= without:
        return LOW
    return HIGH if threshold > MEASURED_THRESHOLD else MEDIUM


def _risk(ranks: Mapping[Any, int], value: object, without: object) -> str:
    if ranks[value] <= ranks[without]:
        return LOW
    return HIGH if value in COSMETIC else MEDIUM


def _most(*risks: str) -> str:
    return max(risks, key=RISKS.index, default=LOW)
