import numpy as np
import pytest

from masking.errors import DamagedMedia, ModelError
from masking.evaluation.open_voices import Comparison
from masking.voice.loading import VoiceGraph, VoiceModel
from masking.voice.mask import mask_speech, of_file
from masking.voice.maskers import STYLES
from masking.voice.policy import BACKGROUNDS, VoicePolicy
from masking.voice.types import RATE

KEY = b"of the test, and of nobody else."


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("style", STYLES)
def test_speech_comes_out_as_long_and_as_loud_and_in_another_voice(style, background, talk, voice_model):
    said = talk(words=8)
    masked = mask_speech(said, VoicePolicy(style, background, key=KEY), voice_model)
    assert (masked.shape, masked.dtype) == (said.shape, np.float32)
    assert np.abs(masked).max() <= 1
    assert 0.4 < masked.std() / said.std() < 1.6
    comparison = Comparison(voice_model.vad, 1)
    comparison.feed(said[:, None], masked[:, None])
    comparison.finish()
    assert comparison.heard > 1
    assert comparison.open == 0


def open_seconds(before, after, vad):
    comparison = Comparison(vad, 1)
    comparison.feed(before[:, None], after[:, None])
    comparison.finish()
    assert comparison.heard > 0.5
    return comparison.open


def test_who_answers_quietly_is_not_heard_in_a_background_that_is_kept(talk, voice_model):
    loud, quiet = talk(0), 0.003 * talk(1)
    masked = mask_speech(np.concatenate([loud, quiet]), VoicePolicy(background="keep", key=KEY), voice_model)
    assert open_seconds(quiet, masked[len(loud) :], voice_model.vad) == 0


@pytest.mark.parametrize("other", [0, -1], ids=["said into one", "said against each other"])
def test_noise_that_two_channels_share_hides_nobody_in_a_background_that_is_kept(other, talk, voice_model):
    said = talk(words=8)
    noise = (12 * said.std() * np.random.default_rng(0).normal(size=len(said))).astype(np.float32)
    both = np.stack([noise + said, noise + other * said], axis=1) / 4
    stream = of_file(VoicePolicy(background="keep", key=KEY), voice_model, RATE, (0, 1))
    masked = np.concatenate([stream.feed(both), stream.finish()])
    apart = (sound[:, 0] - sound[:, 1] for sound in (both, masked))
    assert open_seconds(*apart, voice_model.vad) == 0


@pytest.mark.parametrize("style", STYLES)
def test_the_key_draws_the_voice(style, talk, voice_model):
    said = talk()

    def masked(key):
        return mask_speech(said, VoicePolicy(style, key=key), voice_model)

    np.testing.assert_array_equal(masked(KEY), masked(KEY))
    assert np.abs(masked(KEY) - masked(KEY[::-1])).max() > 0.01


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "samples",
    [[0.0], [1.0], [0.5] * 9000, [0.0] * 9000, [5.0, -5.0] * 9000],
    ids=["no sound", "one sample", "DC", "silence", "far too loud"],
)
def test_odd_sounds_come_out_whole(samples, style, voice_model):
    out = mask_speech(np.array(samples, np.float32), VoicePolicy(style), voice_model)
    assert out.shape == (len(samples),)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("offset", [0.02, 0.5])
def test_an_offset_is_heard_neither_as_loudness_nor_as_a_voice(style, offset, talk, voice_model):
    key = VoicePolicy(style, key=KEY)
    quiet = 0.3 * talk()
    plain = mask_speech(quiet, key, voice_model)
    shifted = mask_speech(quiet + np.float32(offset), key, voice_model)
    assert plain.any()
    assert np.std(shifted) == pytest.approx(np.std(plain), rel=0.05)


def test_no_sound_at_all_stays_so(voice_model):
    assert mask_speech(np.empty(0, np.float32), VoicePolicy(), voice_model).shape == (0,)


def test_a_sample_that_is_no_number_is_refused(voice_model):
    with pytest.raises(DamagedMedia):
        mask_speech(np.array([0, np.nan], np.float32), VoicePolicy(), voice_model)


class Broken:
    """A graph that answers with what is no number, or not at all."""

    def __init__(self, answer):
        self._answer = answer

    def run(self, names, inputs):
        shape = inputs["mel"].shape
        return [np.full(shape, self._answer(), np.float32), np.full((*shape[:2], 1), 0.5, np.float32)]


@pytest.mark.parametrize("answer", [lambda: np.nan, lambda: np.inf, {}.popitem])
def test_a_model_that_fails_is_an_error(answer, talk, voice_model):
    graph = VoiceGraph(Broken(answer), 3, 3, voice_model.graph.average)
    model = VoiceModel("voice-masker", "8", graph, voice_model.vad, "of the test")
    with pytest.raises(ModelError):
        mask_speech(talk(), VoicePolicy(key=KEY), model)
