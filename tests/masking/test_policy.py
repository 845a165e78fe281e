import pytest

from masking.errors import PolicyError
from masking.policy import Policy, VideoPolicy


@pytest.mark.parametrize("kind", [Policy, VideoPolicy])
def test_skin_tone_is_dropped_unless_asked_for_and_kept_by_surrogates_alone(kind: type[Policy]) -> None:
    assert kind().tone == "drop"
    kept = kind("surrogate", tone="keep")
    assert kept.facts()["tone"] == "keep"
    assert kept.digest != kind("surrogate").digest
    for style in ("solid", "pixelate", "blur", "averages"):
        with pytest.raises(PolicyError, match="surrogate"):
            kind(style, tone="keep")
    with pytest.raises(PolicyError, match="drop, keep"):
        kind("surrogate", tone="lighter")
