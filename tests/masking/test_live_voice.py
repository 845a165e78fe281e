from dataclasses import replace

import numpy as np
import pytest

from masking.errors import UnsupportedMedia
from masking.live_voice import RATES, LiveVoice
from masking.voice.policy import VoicePolicy
from masking.voice.resample import Resampler

KEY = b"of the test, and of nobody else."


@pytest.fixture(scope="module")
def said(talk):
    return np.concatenate([talk(0, 2), talk(1, 2)])


def pcm(samples, rate=16_000, channels=1):
    resampler, count = Resampler(16_000, rate, 1), len(samples) * rate // 16_000
    there = np.concatenate([resampler.feed(samples[:, None]), resampler.finish(count)])
    return np.repeat(np.rint(there * 20_000).astype("<i2"), channels, axis=1).tobytes()


def sent(live, data, size):
    """Send chunks of some bytes; give what was heard."""
    heard = []
    for start in range(0, len(data) - size + 1, size):
        sound = live.mask(data[start : start + size])
        assert sound.fault == ""
        assert len(sound.pcm) == size
        heard.append(sound.pcm)
    return np.frombuffer(b"".join(heard), "<i2").astype(float)


@pytest.mark.parametrize(("rate", "channels"), [(rate, 1 + (rate > 40_000)) for rate in RATES])
def test_what_comes_out_came_in_a_constant_time_ago_in_another_voice(rate, channels, said, voice_model):
    live = LiveVoice(VoicePolicy("one-voice", key=KEY), voice_model, rate, channels)
    data = pcm(said, rate, channels)
    size = rate // 25 * 2 * channels
    before = np.frombuffer(data, "<i2")[: len(data) // size * size // 2].astype(float)
    after = sent(live, data, size)
    late = round(live.delay_seconds * rate) * channels
    assert 0.1 < live.delay_seconds < 0.6
    assert not after[:late].any()
    before, after = before[: len(before) - late], after[late:]
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.3
    # Loudness by the tenth of a second says where things lie in time.
    tenth = rate // 10 * channels
    levels = [np.abs(each[: len(each) // tenth * tenth]).reshape(-1, tenth).mean(axis=1) for each in (before, after)]
    assert np.corrcoef(*levels)[0, 1] > 0.8


@pytest.mark.parametrize("background", ["drop", "keep"])
def test_chunks_of_any_size_give_the_same(background, said, voice_model):
    policy, data = VoicePolicy("one-voice", background, key=KEY), pcm(said[:32_000])
    first, second = (sent(LiveVoice(policy, voice_model, 16_000, 1), data, size) for size in (1280, 962))
    whole = min(len(first), len(second))
    assert whole > 31_000
    np.testing.assert_array_equal(first[:whole], second[:whole])


@pytest.mark.parametrize(
    "chunk", [b"", b"odd", bytes(2), bytes(16_000 * 2 * 2 + 4)], ids=["empty", "odd", "one channel", "too long"]
)
def test_a_chunk_that_is_none_gives_silence_and_the_stream_begins_anew(chunk, said, voice_model):
    live = LiveVoice(VoicePolicy("one-voice", key=KEY), voice_model, 16_000, 2)
    data = pcm(said, channels=2)
    assert sent(live, data, 2560).any()
    answer = live.mask(chunk)
    assert answer.fault
    assert answer.pcm == bytes(len(chunk))
    late = round(live.delay_seconds * 16_000) * 2
    again = sent(live, data, 2560)
    assert not again[:late].any()
    assert again[late:].any()


class Failing:
    def __init__(self, session, calls):
        self._session, self._calls = session, calls

    def run(self, names, inputs):
        self._calls -= 1
        if self._calls == 0:
            raise RuntimeError("out of memory")
        return self._session.run(names, inputs)


@pytest.mark.parametrize("part", ["voice", "vad"])
def test_a_model_that_fails_gives_silence_and_never_the_input(part, said, voice_model):
    failing = Failing(voice_model.vad if part == "vad" else voice_model.graph.session, 40)
    model = (
        replace(voice_model, vad=failing)
        if part == "vad"
        else replace(voice_model, graph=replace(voice_model.graph, session=failing))
    )
    live, data = LiveVoice(VoicePolicy("strong", key=KEY), model, 16_000, 1), pcm(said)
    answers = [live.mask(data[start : start + 1280]) for start in range(0, len(data) - 1279, 1280)]
    faults = [index for index, answer in enumerate(answers) if answer.fault]
    assert len(faults) == 1
    assert answers[faults[0]].pcm == bytes(1280)
    late = int(live.delay_seconds * 16_000 / 640)
    assert all(not any(answer.pcm) for answer in answers[faults[0] : faults[0] + late])
    assert any(any(answer.pcm) for answer in answers[faults[0] + late :])


@pytest.mark.parametrize(("rate", "channels"), [(7_999, 1), (96_000, 1), (16_000, 0), (16_000, 3)])
def test_what_is_not_taken_is_refused(rate, channels, voice_model):
    with pytest.raises(UnsupportedMedia):
        LiveVoice(VoicePolicy(), voice_model, rate, channels)


def test_silence_is_as_long_as_is_asked_for(voice_model):
    assert LiveVoice(VoicePolicy(), voice_model, 16_000, 1).silence(7) == bytes(7)
