import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masking.errors import DamagedMedia, ModelError
from masking.voice.policy import VoicePolicy
from masking.voice.pseudo import PseudoVoice
from masking.voice.sound import SILENT, SoundStream, alike
from masking.voice.stream import StreamSettings

KEY = b"of the test, and of nobody else."
SPANS = [(0.6, 1.2), (2.4, 3.0)]
MARGINS = (0.35, 0.45)
"""Seconds before and after a voice in which the gate may be open."""
RATES = (8_000, 16_000, 44_100)


def stream_of(policy, vad, make, rate, groups=(0,), live=False):
    kind = StreamSettings.live(policy) if live else StreamSettings.of_files(policy)
    return SoundStream(policy, vad, make, rate, groups, kind)


def through(stream, samples, cuts=()):
    out = [stream.feed(piece) for piece in np.split(samples, sorted(cuts))]
    return np.concatenate([*out, stream.finish()])


def inside(spans, seconds, rate, before=0.0, after=0.0):
    at = np.arange(round(seconds * rate)) / rate
    return np.any([(at >= first - before) & (at < last + after) for first, last in spans], axis=0)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("rate", RATES)
def test_what_is_masked_lies_where_it_was_said_and_the_rest_is_silence(rate, live, say, loud_is_speech, upside):
    samples = say(SPANS, 4, rate)
    stream = stream_of(VoicePolicy(key=KEY), loud_is_speech, upside, rate, live=live)
    out = through(stream, samples[:, None])[:, 0]
    assert out.shape == samples.shape
    spoken = inside(SPANS, 4, rate)
    # A converter that turns the sound upside down shows to the sample where it went.
    assert np.corrcoef(out[spoken], samples[spoken])[0, 1] < -0.999
    assert not out[~inside(SPANS, 4, rate, *MARGINS)].any()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("rate", RATES)
def test_a_background_that_is_kept_is_the_same_to_the_bit(rate, live, say, loud_is_speech, upside):
    samples = say(SPANS, 4, rate)
    stream = stream_of(VoicePolicy(background="keep", key=KEY), loud_is_speech, upside, rate, live=live)
    out = through(stream, samples[:, None])[:, 0]
    around = inside(SPANS, 4, rate, *MARGINS)
    np.testing.assert_array_equal(out[~around], samples[~around])
    near = inside(SPANS, 4, rate, 0.1, 0.2)
    assert np.corrcoef(out[near], samples[near])[0, 1] < -0.999


@settings(max_examples=25, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    background=st.sampled_from(("drop", "keep")),
    consistent=st.booleans(),
    live=st.booleans(),
    spans=st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 1)).map(lambda span: (span[0], sum(span))), max_size=3),
    seconds=st.floats(0.01, 3),
    cuts=st.lists(st.integers(0, 100_000), max_size=12),
)
def test_cutting_changes_nothing_and_the_length_is_exact(
    rate, background, consistent, live, spans, seconds, cuts, say, loud_is_speech, upside
):
    samples = say(spans, seconds, rate)
    samples = np.stack([samples, 0.5 * samples[::-1]], axis=1)
    policy = VoicePolicy(background=background, consistent=consistent, key=KEY)
    streams = [stream_of(policy, loud_is_speech, upside, rate, (0, 1), live) for _ in range(2)]
    whole = through(streams[0], samples)
    assert whole.shape == samples.shape
    np.testing.assert_array_equal(through(streams[1], samples, cuts), whole)
    assert streams[0].account == streams[1].account


def test_each_utterance_has_a_voice_of_its_own_which_all_channels_share(say, loud_is_speech, upside):
    made = []

    def make():
        made.append(upside())
        return made[-1]

    policy = VoicePolicy(key=KEY)
    samples = say(SPANS, 4)
    stream = stream_of(policy, loud_is_speech, make, 16_000, (0, 1))
    through(stream, np.stack([samples, np.roll(samples, 90)], axis=1))
    assert made[0].voices == made[1].voices
    assert list(dict.fromkeys(made[0].voices)) == [PseudoVoice.draw(policy.number(index)) for index in (0, 1)]
    spoken = [(each.first_seconds, each.last_seconds) for each in stream.account.utterances]
    for (first, last), (said, silent) in zip(spoken, SPANS, strict=True):
        assert said - MARGINS[0] <= first <= said
        assert silent <= last <= silent + MARGINS[1]
    assert all(last <= first for (_, last), (first, _) in pairwise(spoken))


def test_a_stream_that_is_consistent_and_cannot_tell_speakers_apart_is_one_speaker(say, loud_is_speech, upside):
    made = upside()
    policy = VoicePolicy(consistent=True, key=KEY)
    stream = stream_of(policy, loud_is_speech, lambda: made, 16_000, live=True)
    through(stream, say(SPANS, 4)[:, None])
    assert set(made.voices) == {PseudoVoice.draw(policy.number(0))}
    assert [each.speaker for each in stream.account.utterances] == [0, 0]


def test_a_voice_in_one_channel_opens_all(say, loud_is_speech, upside):
    left, right = say(SPANS[:1], 4), say(SPANS[1:], 4)
    stream = stream_of(VoicePolicy(background="keep", key=KEY), loud_is_speech, upside, 16_000, (0, 1))
    out = through(stream, np.stack([left, right], axis=1))
    for channel, samples in enumerate((left, right)):
        spoken = inside(SPANS, 4, 16_000)
        assert np.corrcoef(out[spoken, channel], samples[spoken])[0, 1] < -0.999


def test_channels_that_are_alike_are_masked_once(say, loud_is_speech, upside):
    made = []

    def make():
        made.append(upside())
        return made[-1]

    samples = say(SPANS, 4)
    five = np.stack([samples, 0 * samples, samples, 0.5 * samples, samples], axis=1)
    groups = alike(np.array_split(five, 9), 5)
    assert groups == (0, SILENT, 0, 3, 0)
    out = through(stream_of(VoicePolicy(key=KEY), loud_is_speech, make, 16_000, groups), five)
    assert len(made) == 2
    assert not out[:, 1].any()
    np.testing.assert_array_equal(out[:, 0], out[:, 2])
    assert np.abs(out[:, 3] - out[:, 0]).max() > 0.05


def test_channels_that_part_late_are_not_alike():
    block = np.ones((100, 2), np.float32)
    other = block.copy()
    other[-1, 1] = 0.5
    assert alike([block, block], 2) == (0, 0)
    assert alike([block, other], 2) == (0, 1)
    assert alike([0 * block], 2) == (SILENT, SILENT)


@pytest.mark.parametrize("background", ["drop", "keep"])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    "samples",
    [np.zeros(20_000), np.zeros(1), np.ones(1), np.full(9_000, 0.5), np.sign(np.sin(np.arange(30_000) / 20)) * 3],
    ids=["silence", "no sound", "one sample", "DC", "clipped"],
)
def test_odd_sounds_come_out_whole(samples, rate, background, loud_is_speech, upside):
    stream = stream_of(VoicePolicy(background=background, key=KEY), loud_is_speech, upside, rate)
    out = through(stream, samples.astype(np.float32)[:, None])
    assert out.shape == (len(samples), 1)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1


class Failing:
    """A converter that does one thing wrong at its third block."""

    delay = 0

    def __init__(self, wrong: Callable[[np.ndarray], np.ndarray]) -> None:
        self._wrong, self._calls = wrong, 0

    def feed(self, samples, voice):
        self._calls += 1
        return self._wrong(samples) if self._calls == 3 else 0 * samples

    def finish(self):
        return np.empty(0, np.float32)


@pytest.mark.parametrize(
    "wrong",
    [lambda x: x / 0, lambda x: x * np.nan, lambda x: x[1:], lambda x: np.append(x, x), lambda x: x[:, None], {}.pop],
    ids=["infinite", "no number", "short", "long", "shape", "raises"],
)
def test_a_converter_that_fails_is_an_error_and_nothing_comes_out(wrong, say, loud_is_speech):
    stream = stream_of(VoicePolicy(key=KEY), loud_is_speech, lambda: Failing(wrong), 16_000)
    with np.errstate(all="ignore"), pytest.raises(ModelError):
        through(stream, say(SPANS, 4)[:, None])


class Deaf:
    """A detector of speech that answers as it is told."""

    def __init__(self, answer):
        self._answer = answer

    def run(self, names, inputs):
        return [self._answer(len(inputs["input"])), inputs["h"], inputs["c"]]


@pytest.mark.parametrize("answer", [lambda n: np.full(n, np.nan), lambda n: np.zeros(n + 1), {}.pop])
def test_a_detector_that_fails_is_an_error(answer, say, upside):
    with pytest.raises(ModelError):
        through(stream_of(VoicePolicy(key=KEY), Deaf(answer), upside, 16_000), say(SPANS, 4)[:, None])


def test_a_sample_that_is_no_number_is_refused(loud_is_speech, upside):
    samples = np.zeros((100, 1), np.float32)
    samples[50] = np.nan
    with pytest.raises(DamagedMedia):
        stream_of(VoicePolicy(), loud_is_speech, upside, 16_000).feed(samples)


@pytest.mark.parametrize("background", ["drop", "keep"])
def test_memory_does_not_grow_with_the_length(background, say, loud_is_speech, upside):
    second = say([(0.2, 0.4)], 1, 44_100)[:, None]
    stream = stream_of(VoicePolicy(background=background, key=KEY), loud_is_speech, upside, 44_100)
    held = []
    tracemalloc.start()
    for _ in range(3):
        for _ in range(8):
            stream.feed(second)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[2] < held[0] + 100_000
