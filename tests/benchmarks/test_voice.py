"""The table of voices: what stands in it, what is written beside it, and the codebook that the network has to beat."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.voice import Told, facts
from benchmarks.voice_cnn import FRAMES, convolutions, picture, second
from benchmarks.voice_codebook import taught
from masking.evaluation.voice.privacy import Rate, VoiceAttack, VoiceStyle
from masking.evaluation.voice.spectra import MELS
from masking.voice.mask import mask_speech
from masking.voice.policy import VoicePolicy
from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.types import RATE
from pipelines.params import VoiceTrain

STYLE = VoiceStyle(
    (
        VoiceAttack("fusion", "across", Rate(0.35123, 0.3, 0.4, 165), Rate(0.09, 0.05, 0.14, 165), 0.06, 0.1, 0.2),
        VoiceAttack("encoder", "apart", Rate(0.41, 0.35, 0.45, 165), None, 0.05, 0.2, 0.1),
    )
)


def test_the_figures_of_a_masker_are_those_of_the_table_and_no_judge_is_no_figure() -> None:
    told = Told(words=0.85104, words_cnn=None, words_pocketsphinx=0.8333, dnsmos=2.81, pitch_correlation=0.76)
    assert told.row() == " 85.1 |     - |  83.3 | 2.81 |  0.76"
    found = facts(STYLE, told, 70)
    assert json.loads(json.dumps(found)) == found
    assert (found["eer"], found["eer_low"], found["attacker"]) == (0.351, 0.3, "fusion, across")
    assert (found["words"], found["words_pocketsphinx"], found["people"]) == (0.851, 0.833, 70)
    assert "words_cnn" not in found
    assert "attackers" not in found


def test_a_codebook_of_recordings_masks_as_strong_does() -> None:
    rng = np.random.default_rng(0)
    words = lexicon(20, rng)
    said = [
        (f"v{number}", speak(Speaker.draw(rng), [words[i] for i in rng.integers(20, size=5)], rng).samples)
        for number in range(4)
    ]
    model = taught(said, VoiceTrain(entries=8, least_speakers=2, seed=0))
    talk = said[0][1]
    masked = mask_speech(talk, VoicePolicy("strong", key=bytes(32)), model)
    assert masked.shape == talk.shape
    assert masked.any()
    assert abs(np.corrcoef(masked, talk)[0, 1]) < 0.3


@pytest.mark.parametrize("samples", [1, RATE // 3, RATE, 3 * RATE])
def test_the_larger_judge_looks_at_a_second(samples: int) -> None:
    whole = second(np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32))
    assert whole.shape == (RATE,)
    seen = picture(whole)
    assert (seen.shape, seen.dtype) == ((1, FRAMES, MELS), np.float32)
    assert np.isfinite(seen).all()


def test_without_pytorch_there_is_no_such_judge_and_with_it_he_learns() -> None:
    rng, at = np.random.default_rng(0), np.arange(RATE) / RATE
    words = ["low", "high"] * 8
    sounds = [
        (0.3 * np.sin(2 * np.pi * (300 if word == "low" else 2500) * at) + rng.normal(0, 0.01, RATE)).astype(np.float32)
        for word in words
    ]
    judge = convolutions(sounds, words, words)
    if find_spec("torch") is None:
        assert judge is None
    else:
        assert judge is not None
        assert judge(sounds) > 0.8
