import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from masking.audio import mask_audio, mask_audio_bytes
from masking.errors import DamagedMedia, DeadlineExceeded, EmptyMedia, MediaTooLarge, ModelError, UnsupportedMedia
from masking.media.audio import AudioLimits, open_audio, probe_audio
from masking.media.file_digest import sha256_of
from masking.voice.loading import VoiceGraph
from masking.voice.policy import VoicePolicy
from masking.voice.resample import Resampler

LIMITS = AudioLimits(bytes=10_000_000, seconds=60)
KEY = b"of the test, and of nobody else."
RATES = (8_000, 16_000, 22_050, 44_100, 48_000)


def write(path: Path, samples: np.ndarray, rate: int) -> Path:
    """Write (n, channels) samples as a WAV of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return path


def read(path: Path) -> np.ndarray:
    with open_audio(path, probe_audio(path, LIMITS)) as reader:
        return np.concatenate(list(reader))


@pytest.fixture(scope="module")
def said(talk):
    return np.concatenate([talk(0, 2), np.zeros(16_000, np.float32), talk(1, 2)])


def at(rate, samples):
    resampler, count = Resampler(16_000, rate, 1), len(samples) * rate // 16_000
    return np.concatenate([resampler.feed(samples[:, None]), resampler.finish(count)])


@pytest.mark.parametrize("rate", RATES)
def test_a_file_comes_out_in_its_own_form_and_another_voice(rate, said, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", at(rate, said), rate)
    target = tmp_path / "out.wav"
    report = mask_audio(source, target, VoicePolicy(key=KEY), voice_model, LIMITS)
    before, after = read(source), read(target)
    assert after.shape == before.shape
    assert probe_audio(target, LIMITS).rate == rate
    # Of two people that do not speak at once, with a second between them.
    assert len(report.utterances) >= 2
    assert all(0 <= each.first_seconds < each.last_seconds <= report.seconds for each in report.utterances)
    assert 0 < report.speech_seconds < report.seconds == round(len(before) / rate, 3)
    assert (report.kind, report.rate, report.channels) == ("audio/wav", rate, 1)
    assert (report.model, report.model_version, report.schema) == ("voice-masker", "7", 3)
    assert (report.input_sha256, report.output_sha256) == (sha256_of(source), sha256_of(target))
    assert np.abs(np.corrcoef(before[:, 0], after[:, 0])[0, 1]) < 0.3
    assert after.std() > 0.3 * before.std()


def test_bytes_are_masked_as_files_are(said, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", said[:, None], 16_000)
    mask_audio(source, tmp_path / "out.wav", VoicePolicy(key=KEY), voice_model, LIMITS)
    masked = mask_audio_bytes(source.read_bytes(), VoicePolicy(key=KEY), voice_model, LIMITS)
    assert masked.data == (tmp_path / "out.wav").read_bytes()
    assert masked.media_type == masked.report.kind == "audio/wav"


def test_channels_that_are_alike_come_out_alike(said, voice_model, tmp_path):
    three = np.stack([said, said, np.roll(said, 3) * 0.5], axis=1)
    source = write(tmp_path / "in.wav", three, 16_000)
    mask_audio(source, tmp_path / "out.wav", VoicePolicy(key=KEY), voice_model, LIMITS)
    after = read(tmp_path / "out.wav")
    np.testing.assert_array_equal(after[:, 0], after[:, 1])
    assert np.abs(after[:, 2] - after[:, 0]).max() > 0.01
    # The same voice at the same time: both have the same pitch, and are no two people.
    assert np.corrcoef(after[:, 0], after[:, 2])[0, 1] > 0.5


class Failing:
    """A graph that answers some times, and then no more."""

    def __init__(self, session, calls):
        self._session, self._calls = session, calls

    def run(self, names, inputs):
        self._calls -= 1
        if self._calls < 0:
            raise RuntimeError("out of memory")
        return self._session.run(names, inputs)


@pytest.mark.parametrize("calls", [0, 2])
def test_a_model_that_fails_on_the_way_leaves_no_file(calls, said, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", said[:, None], 16_000)
    graph = replace(voice_model.graph, session=Failing(voice_model.graph.session, calls))
    assert isinstance(graph, VoiceGraph)
    with pytest.raises(ModelError):
        mask_audio(source, tmp_path / "out.wav", VoicePolicy(), replace(voice_model, graph=graph), LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


class Impatient:
    def __init__(self, most):
        self.told, self._most = [], most

    def progress(self, done, total):
        self.told.append((done, total))
        if done > self._most:
            raise DeadlineExceeded("enough")


def test_an_observer_is_told_of_the_milliseconds_and_can_end_the_work(said, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", np.stack([said, said], axis=1), 16_000)
    total = len(said) // 16
    patient, impatient = Impatient(total), Impatient(1000)
    mask_audio(source, tmp_path / "out.wav", VoicePolicy(), voice_model, LIMITS, patient)
    assert {every for _, every in patient.told} == {total}
    done = [each for each, _ in patient.told]
    assert done == sorted(done)
    assert done[-1] > total / 3
    (tmp_path / "out.wav").write_bytes(b"of before")
    with pytest.raises(DeadlineExceeded):
        mask_audio(source, tmp_path / "out.wav", VoicePolicy(), voice_model, LIMITS, impatient)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "out.wav"]
    assert (tmp_path / "out.wav").read_bytes() == b"of before"


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((1, 1)), 8_000),
        (np.zeros((4000, 2)), 44_100),
        (np.full((9000, 1), 0.9), 16_000),
        (np.ones((7, 1)), 48_000),
    ],
    ids=["one sample", "silence", "DC", "seven samples"],
)
def test_odd_sounds_come_out_as_long_as_they_were(samples, rate, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", samples, rate)
    report = mask_audio(source, tmp_path / "out.wav", VoicePolicy(), voice_model, LIMITS)
    assert read(tmp_path / "out.wav").shape == samples.shape
    assert report.channels == samples.shape[1]


def test_a_file_that_breaks_off_is_masked_as_far_as_it_goes(said, voice_model, tmp_path):
    source = write(tmp_path / "in.wav", said[:, None], 16_000)
    data = source.read_bytes()
    masked = mask_audio_bytes(data[: len(data) // 2], VoicePolicy(), voice_model, LIMITS)
    assert masked.report.damage
    assert masked.report.needs_review
    assert 0 < masked.report.seconds < len(said) / 16_000


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"", LIMITS, EmptyMedia),
        (b"just a text, named like a sound", LIMITS, UnsupportedMedia),
        (b"RIFF\x24\0\0\0WAVEfmt ", LIMITS, DamagedMedia),
        (None, AudioLimits(bytes=100, seconds=60), MediaTooLarge),
        (None, AudioLimits(bytes=10_000_000, seconds=1), MediaTooLarge),
        (None, AudioLimits(bytes=10_000_000, seconds=60, lowest_rate=44_100), UnsupportedMedia),
    ],
)
def test_what_is_not_taken_is_refused(data, limits, error, said, voice_model, tmp_path):
    if data is None:
        data = write(tmp_path / "in.wav", said[:, None], 16_000).read_bytes()
    with pytest.raises(error):
        mask_audio_bytes(data, VoicePolicy(), voice_model, limits)
