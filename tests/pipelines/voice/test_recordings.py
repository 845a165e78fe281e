"""The user's own recordings, written by the test as files of several kinds, rates and channels."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.params import VoiceIngest
from pipelines.voice.dataset import SPLITS, read
from pipelines.voice.recordings import RecordingsError, find_recordings, split_of
from pipelines.voice.sounds import read_mono
from pipelines.voice_ingest import ingest

KEY = bytes(range(32))


def sound(path: Path, seconds: float, rate: int = 16_000, channels: int = 1, hertz: float = 300.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    layout = "mono" if channels == 1 else "stereo"
    codec = {".wav": "pcm_s16le", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, format="s16")
        interleaved = np.repeat((samples * 32767).astype(np.int16), channels)[None]
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def params(folder: Path, source: str) -> VoiceIngest:
    return VoiceIngest.model_validate(
        {"source": source, "folder": folder, "speakers": 6, "words": 1, "espeak": False, "longest_seconds": 2.0}
    )


@pytest.mark.parametrize(("source", "place"), [("folder", "{}/a.flac"), ("librispeech", "{}/12/a.flac")])
def test_speakers_are_found_split_cut_and_hidden(tmp_path: Path, source: str, place: str) -> None:
    for name in ("anna", "bert", "carl", "dora"):
        sound(tmp_path / "in" / place.format(name), 5.0)
    skipped: list[str] = []
    ingest(params(tmp_path / "in", source), tmp_path / "out", KEY, skipped)
    found = list(read(tmp_path / "out", kind="phrase"))
    assert skipped == []
    assert {each.split for each in found} == set(SPLITS)
    assert len({each.speaker for each in found}) == 4
    assert len(found) == 12, "five seconds are three parts of at most two"
    assert max(len(each.samples) for each in found) <= 2.0 * 16_000
    told = (tmp_path / "out" / "utterances.parquet").read_bytes()
    assert not any(name.encode() in told for name in ("anna", "bert", "carl", "dora"))
    assert {each.source for each in read(tmp_path / "out", kind="word")} == {"procedural"}


def test_rates_and_channels_become_one(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav", 2.0, rate=44_100, channels=2)
    samples = read_mono(tmp_path / "a.wav", 60)
    assert abs(len(samples) - 32_000) <= 1
    strongest = np.abs(np.fft.rfft(samples[:16_000])).argmax()
    assert strongest == 300
    assert len(read_mono(tmp_path / "a.wav", 1.0)) == pytest.approx(16_000, abs=8_000)


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        sound(tmp_path / "in" / name / "1.wav", 1.5)
    (tmp_path / "in" / "a" / "2.wav").write_bytes(b"no sound")
    (tmp_path / "in" / "a" / "notes.txt").write_text("not listened to")
    skipped: list[str] = []
    ingest(params(tmp_path / "in", "folder"), tmp_path / "out", KEY, skipped)
    (reason,) = skipped
    assert reason.startswith("a/2.wav: ")


def test_too_few_speakers_are_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "a" / "1.wav", 1.5)
    with pytest.raises(RecordingsError, match="1 speakers"):
        find_recordings(tmp_path, "folder")


@given(st.integers(3, 60), st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(0, 9))
def test_every_split_gets_somebody_and_everybody_one_split(count: int, train: float, attack: float, seed: int) -> None:
    names = [f"s{i}" for i in range(count)]
    splits = split_of(names, train, attack, seed)
    assert set(splits) == set(names)
    assert set(splits.values()) == set(SPLITS)
    assert splits == split_of(names, train, attack, seed)
