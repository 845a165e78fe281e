from collections.abc import Mapping
from typing import Any

import pytest

from masking.defaults import FACES, VOICES, check_face_defaults, check_voice_defaults
from masking.errors import PolicyError
from masking.policy import Policy
from masking.voice.policy import VoicePolicy


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
