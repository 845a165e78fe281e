import json
import wave
from dataclasses import replace

import numpy as np
import pytest

from masking.audio import mask_audio
from masking.errors import DamagedMedia
from masking.evaluation.open_voices import APART, Comparison, likeness, side_by_side
from masking.media.audio import AudioLimits
from masking.media.file_digest import sha256_of
from masking.verify_voice import Ear, read_voice_report, verify_sound
from masking.voice.policy import VoicePolicy
from masking.voice.types import RATE

LIMITS = AudioLimits(bytes=10_000_000, seconds=60)
KEY = b"of the test, and of nobody else."


def write(path, samples, rate=RATE, tail=b""):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    path.write_bytes(path.read_bytes() + tail)
    return path


@pytest.fixture(scope="module")
def said(talk):
    return np.concatenate([talk(0, 3), talk(1, 3)])[:, None]


@pytest.fixture(scope="module")
def masked(said, voice_model, tmp_path_factory):
    """Source, output and report of a file that is masked as it should be."""
    folder = tmp_path_factory.mktemp("masked")
    source, target = write(folder / "in.wav", said), folder / "out.wav"
    report = mask_audio(source, target, VoicePolicy("one-voice", "keep", key=KEY), voice_model, LIMITS)
    return source, target, report


@pytest.fixture
def checked(masked, voice_model, tmp_path):
    """Verify samples as the output, with a report that names their digest."""

    def check(samples, rate=RATE, tail=b"", **changes):
        source, _, report = masked
        output = write(tmp_path / "other.wav", samples, rate, tail)
        report = replace(report, output_sha256=sha256_of(output), **changes)
        return verify_sound(source, output, report, Ear(voice_model.vad, LIMITS))

    return check


def samples_of(path):
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)[:, None] / 32768


def codes(hearing):
    return [finding.code for finding in hearing.findings]


def test_what_was_masked_is_not_heard(masked, voice_model):
    source, output, report = masked
    hearing = verify_sound(source, output, report, Ear(voice_model.vad, LIMITS))
    assert codes(hearing) == []
    assert hearing.speech_seconds > 1
    assert hearing.open_seconds == 0
    assert hearing.seconds == pytest.approx(report.seconds, abs=1e-3)


@pytest.mark.parametrize("loudness", [1, -1, 0.1], ids=["as it was", "upside down", "quiet"])
def test_a_stretch_that_came_through_is_found_with_its_time(loudness, said, masked, checked):
    output = samples_of(masked[1]).copy()
    first = next(each for each in masked[2].utterances if each.last_seconds - each.first_seconds > 1)
    span = slice(int(first.first_seconds * RATE), int(first.last_seconds * RATE))
    output[span] = said[span] * loudness
    hearing = checked(output)
    assert set(codes(hearing)) == {"open_voice"}
    assert 0.5 < hearing.open_seconds < hearing.speech_seconds
    told = hearing.findings[0].text.split()
    assert first.first_seconds - 0.1 <= float(told[2]) <= float(told[4]) <= first.last_seconds + 0.1


def test_noise_over_a_voice_hides_it_no_better(said, checked):
    noise = np.random.default_rng(0).normal(size=said.shape).astype(np.float32) * 0.005
    assert "open_voice" in codes(checked(said + noise))


@pytest.mark.parametrize("hidden", [np.zeros_like, lambda said: said[::-1], lambda said: np.roll(said, 800, axis=0)])
def test_what_is_not_the_same_sound_is_not_open(hidden, said, checked):
    assert codes(checked(hidden(said))) == []


def test_each_of_the_two_files_must_be_that_of_the_report(masked, voice_model):
    source, output, report = masked
    for name, code in (("input_sha256", "input_hash"), ("output_sha256", "output_hash")):
        wrong = replace(report, **{name: "0" * 64})
        assert codes(verify_sound(source, output, wrong, Ear(voice_model.vad, LIMITS))) == [code]


def test_length_rate_channels_and_metadata_are_those_of_the_original(masked, checked):
    output = samples_of(masked[1])
    assert codes(checked(output[:-1])) == ["length"]
    assert codes(checked(output, rate=8_000)) == ["shape", "length"]
    assert codes(checked(output, channels=2)) == ["shape"]
    assert codes(checked(np.repeat(output, 2, axis=1))) == ["shape"]
    note = b"LIST\x10\0\0\0INFOINAM\x04\0\0\0Eve\0"
    assert codes(checked(output, tail=note)) == ["metadata"]


def test_a_report_is_read_as_it_was_written(masked):
    report = replace(masked[2], notes=("metadata_dropped",))
    assert read_voice_report(json.dumps(report.as_dict()).encode()) == report


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"utterances": 3}, {"rate": "fast"}, {"seconds": None}, {"notes": 1}]
)
def test_what_is_no_report_is_refused(change, masked):
    with pytest.raises(DamagedMedia):
        read_voice_report(json.dumps(masked[2].as_dict() | change).encode())
    with pytest.raises(DamagedMedia):
        read_voice_report(b"{")


def test_likeness_is_one_for_the_same_however_shifted_and_loud():
    noise = np.random.default_rng(3).normal(size=4000 + 2 * APART).astype(np.float32)
    stretch = noise[APART:-APART]
    for shift in (0, 100, -APART):
        assert likeness(stretch, np.roll(noise, shift) * -0.2) == pytest.approx(1, abs=1e-6)
    assert likeness(stretch, np.roll(noise, 400)) < 0.2
    assert likeness(stretch, 0 * noise) == likeness(0 * stretch, noise) == 0


def test_blocks_that_are_cut_otherwise_stand_side_by_side():
    one, other = np.arange(20).reshape(10, 2), np.arange(24).reshape(12, 2)
    pairs = list(side_by_side(iter(np.split(one, [3, 4])), iter(np.split(other, [5]))))
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)
    assert sum(len(left) for left, _ in pairs) == 10


def test_the_last_word_is_compared_too(said, voice_model):
    cut = said[: int(np.flatnonzero(np.abs(said[:, 0]) > 0.02)[-1])]
    comparison = Comparison(voice_model.vad, 1)
    for block in np.array_split(cut, 17):
        comparison.feed(block, block)
    comparison.finish()
    assert comparison.open == comparison.heard
    (*_, last) = comparison.findings()
    assert float(last.text.split()[4]) > len(cut) / RATE - 0.2


def test_who_answers_quietly_is_compared_too(said, talk, voice_model):
    quiet = 0.003 * talk(1)[:, None]
    comparison = Comparison(voice_model.vad, 1)
    comparison.feed(np.concatenate([said, quiet]), np.concatenate([0 * said, quiet]))
    comparison.finish()
    assert comparison.open > 0.5


def test_what_several_channels_say_at_once_counts_once(said, voice_model):
    heard = []
    for sound in (said, np.repeat(said, 2, axis=1), np.hstack([said, np.zeros_like(said)])):
        comparison = Comparison(voice_model.vad, sound.shape[1])
        for block in np.array_split(sound, 9):
            comparison.feed(block, block)
        comparison.finish()
        heard.append((comparison.heard, comparison.open))
    assert heard[0] == heard[1] == heard[2]
    assert 1 < heard[0][1] == heard[0][0] < len(said) / RATE


def test_what_channels_say_one_after_the_other_adds_up(said, voice_model):
    quiet = np.zeros_like(said)
    comparison = Comparison(voice_model.vad, 2)
    turns = np.hstack([np.vstack([said, quiet]), np.vstack([quiet, said])])
    comparison.feed(turns, turns)
    comparison.finish()
    alone = Comparison(voice_model.vad, 1)
    alone.feed(said, said)
    alone.finish()
    assert comparison.heard == pytest.approx(2 * alone.heard, abs=0.6)
