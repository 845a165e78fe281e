import json

import pytest

from masking.errors import PolicyError
from masking.voice.policy import VoicePolicy

KEY = b"of the test, and of nobody else."


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"style": "loud"}, "unknown voice style"),
        ({"background": "blur"}, "unknown background"),
        ({"key": b"k"}, "key"),
    ],
)
def test_what_is_not_known_is_refused(wish: dict[str, object], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        VoicePolicy(**wish)  # type: ignore[arg-type]


def test_the_key_is_told_nowhere() -> None:
    policy = VoicePolicy(key=KEY)
    assert json.loads(json.dumps(policy.facts())) == {"style": "strong", "background": "drop", "consistent": False}
    assert "nobody" not in repr(policy)
    assert policy.digest == VoicePolicy().digest != VoicePolicy(background="keep").digest


def test_pseudo_voices_are_drawn_from_the_key() -> None:
    numbers = [VoicePolicy(key=KEY).number(index) for index in range(100)]
    assert numbers == [VoicePolicy(key=KEY).number(index) for index in range(100)]
    assert len(set(numbers)) == 100
    assert VoicePolicy().number(0) != VoicePolicy().number(0)
    assert all(0 <= number < 1 << 64 for number in numbers)
