from collections.abc import Mapping
from typing import Any

import pytest

from masking.defaults import (
    COSMETIC,
    FACE_RANKS,
    FACES,
    VOICE_RANKS,
    VOICES,
    check_face_defaults,
    check_voice_defaults,
)
from masking.errors import PolicyError
from masking.face.maskers import STYLES
from masking.face.search import EFFORTS
from masking.policy import TONES, Policy
from masking.styles import FACE_LABELS, VOICE_LABELS
from masking.voice.maskers import STYLES as VOICE_STYLES
from masking.voice.policy import BACKGROUNDS, VoicePolicy


def test_what_an_installation_has_as_defaults_can_be_laid_over_it() -> None:
    check_face_defaults({name: getattr(Policy(), name) for name in FACES})
    check_voice_defaults({name: getattr(VoicePolicy(), name) for name in VOICES})
    check_face_defaults({"threshold": 0.3})
    check_face_defaults({})
    check_voice_defaults({})


@pytest.mark.parametrize(
    "values",
    [{"threshold": value} for value in (0, 9, float("nan"), "0.3", True, None)]
    + [{"style": value} for value in ("nothing", 1, None, ["solid"])]
    + [{"tone": "keep"}, {"key": b"0" * 32}, {"selection": {}}, {"background": "keep"}],
)
def test_what_faces_cannot_be_masked_by_is_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(PolicyError):
        check_face_defaults(values)


@pytest.mark.parametrize(
    "values",
    [{"style": "solid"}, {"background": "loud"}, {"consistent": 1}, {"consistent": "yes"}, {"key": b"0" * 32}],
)
def test_what_voices_cannot_be_masked_by_is_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(PolicyError):
        check_voice_defaults(values)


def test_every_value_of_a_default_has_a_rank() -> None:
    faces: dict[str, object] = {"style": set(STYLES), "search": set(EFFORTS), "tone": set(TONES)}
    voices = {"style": set(VOICE_STYLES), "background": set(BACKGROUNDS), "consistent": {False, True}}
    assert {name: set(ranks) for name, ranks in FACE_RANKS.items()} == faces
    assert {name: set(ranks) for name, ranks in VOICE_RANKS.items()} == voices
    assert (faces.keys() | {"threshold"}, voices.keys()) == (FACES.keys(), VOICES.keys())


def test_what_makes_nobody_anonymous_is_what_is_labelled_so() -> None:
    labels = {**FACE_LABELS, **VOICE_LABELS}
    assert {name for name, label in labels.items() if label.startswith(("Cosmetic", "Light"))} == COSMETIC
