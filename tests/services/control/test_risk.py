"""How much can go wrong with a release, by what is said, by its version's tag and by its policy."""

from typing import Any

import pytest

from mlops.settings import load_settings
from services.control.risk import policy_risk, risk_of

SETTINGS = load_settings(environ={})


@pytest.mark.parametrize(
    ("given", "tag", "by_policy", "risk"),
    [
        (None, None, "low", "low"),
        ("medium", None, "low", "medium"),
        (None, "High ", "low", "high"),
        ("low", "medium", "low", "medium"),
        ("high", "low", "low", "high"),
        (None, "who knows", "low", "high"),
        (None, None, "medium", "medium"),
        ("low", "low", "high", "high"),
        ("high", None, "medium", "high"),
    ],
)
def test_risk_is_the_most_of_what_is_said_the_tag_and_the_policy(
    given: str | None, tag: str | None, by_policy: str, risk: str
) -> None:
    assert risk_of(given, {} if tag is None else {"risk_level": tag}, by_policy) == risk


@pytest.mark.parametrize(
    ("endpoint", "policy", "risk"),
    [
        ("faces", {}, "low"),
        ("faces", {"style": "solid", "threshold": 0.2, "search": "thorough", "tone": "drop"}, "low"),
        ("faces", {"threshold": 0.05}, "low"),
        ("faces", {"threshold": 0.3}, "medium"),
        ("faces", {"threshold": 0.5}, "medium"),
        ("faces", {"threshold": 0.51}, "high"),
        ("faces", {"threshold": 0.99}, "high"),
        ("faces", {"search": "fast"}, "medium"),
        ("faces", {"style": "averages"}, "medium"),
        ("faces", {"style": "surrogate", "tone": "keep"}, "medium"),
        ("faces", {"style": "pixelate"}, "high"),
        ("faces", {"style": "blur", "threshold": 0.1}, "high"),
        ("voices", {}, "low"),
        ("voices", {"style": "strong", "background": "drop", "consistent": False}, "low"),
        ("voices", {"style": "one-voice"}, "medium"),
        ("voices", {"background": "keep"}, "medium"),
        ("voices", {"consistent": True}, "medium"),
        ("voices", {"style": "disguise"}, "high"),
        ("voices", {"style": "disguise", "background": "keep"}, "high"),
        ("demo", {}, "low"),
    ],
)
def test_a_policy_that_protects_less_is_a_risk(endpoint: str, policy: dict[str, Any], risk: str) -> None:
    assert policy_risk(endpoint, policy, SETTINGS) == risk


def test_what_is_the_default_already_is_no_more_of_a_risk() -> None:
    weak = load_settings(
        environ={
            "MASKER_MASKING__STYLE": "blur",
            "MASKER_MASKING__THRESHOLD": "0.7",
            "MASKER_MASKING__SEARCH": "fast",
            "MASKER_MASKING__VOICE_STYLE": "disguise",
            "MASKER_MASKING__VOICE_BACKGROUND": "keep",
        }
    )
    same = {"style": "blur", "threshold": 0.7, "search": "fast"}
    assert policy_risk("faces", same, weak) == "low"
    assert policy_risk("faces", {"style": "pixelate"}, weak) == "low"
    assert policy_risk("voices", {"style": "disguise", "background": "keep"}, weak) == "low"
    assert policy_risk("faces", {"threshold": 0.71}, weak) == "high"
