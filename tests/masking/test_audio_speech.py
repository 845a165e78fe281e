import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masking.audio import mask_audio
from masking.audio_speech import find_speech
from masking.errors import UnsupportedMedia
from masking.media.audio import AudioLimits
from masking.voice.loading import VoiceModel
from masking.voice.policy import VoicePolicy
from masking.voice.types import RATE, Mono

LIMITS = AudioLimits(bytes=10_000_000, seconds=60)


@pytest.mark.parametrize("background", ["drop", "keep"])
def test_what_is_found_is_what_would_be_masked(
    background: str, talk: Callable[..., Mono], voice_model: VoiceModel, tmp_path: Path
) -> None:
    said = np.concatenate([talk(0, 2), 0.003 * talk(1, 2)])
    both = np.stack([said, np.zeros_like(said)], axis=1)
    with wave.open(str(tmp_path / "in.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(both * 32767).astype("<i2").tobytes())
    policy = VoicePolicy(background=background, consistent=True)
    masked = mask_audio(tmp_path / "in.wav", tmp_path / "out.wav", policy, voice_model, LIMITS)
    told: list[tuple[int, int | None]] = []

    class Observer:
        def progress(self, done: int, total: int | None) -> None:
            told.append((done, total))

    found = find_speech(tmp_path / "in.wav", policy, voice_model, LIMITS, Observer())
    assert found == replace(masked, input_sha256="", output_sha256="", notes=found.notes)
    assert found.speech_seconds > 0.5
    assert told[-1] == (round(1000 * len(said) / RATE), round(1000 * len(said) / RATE))


def test_what_is_no_sound_is_refused(voice_model: VoiceModel, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("words")
    with pytest.raises(UnsupportedMedia):
        find_speech(tmp_path / "text.wav", VoicePolicy(), voice_model, LIMITS)
