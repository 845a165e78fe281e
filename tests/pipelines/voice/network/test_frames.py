"""What was heard of recordings is put together, kept in a file, and dealt out by who may be learned from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from masking.voice.procedural import Speaker, lexicon, speak
from pipelines.params import VoiceNetwork
from pipelines.voice.network.frames import Frames, Heard, gather, heard
from pipelines.voice.network.phones import CLASSES, voiced_of
from pipelines.voice.network.speech import Recorded, SpeechError

People = Callable[..., Frames]


def one(frames: int = 50, level: float = -4.0) -> Heard:
    mel = np.full((frames, 80), level, np.float32)
    return Heard(mel, mel.astype(np.float16), np.ones(frames, np.bool_), np.ones(frames, np.int16))


def files(*speakers: str) -> list[Recorded]:
    return [Recorded(Path(f"{index}.wav"), speaker) for index, speaker in enumerate(speakers)]


def test_a_recording_is_analysed_frame_by_frame() -> None:
    rng = np.random.default_rng(3)
    samples = speak(Speaker.draw(rng), lexicon(3, rng), rng).samples
    count = len(samples) // 160 + 1
    classes = np.arange(count, dtype=np.int16) % CLASSES
    found = heard(samples, classes)
    assert found.mel.shape == found.envelope.shape == (count, 80)
    assert np.array_equal(found.voiced, voiced_of(classes))
    correlation = np.corrcoef(found.mel.mean(axis=1), found.envelope.astype(np.float32).mean(axis=1))[0, 1]
    assert correlation > 0.9, "both tell how loud a frame is"


def test_what_is_written_is_read(tmp_path: Path, people: People) -> None:
    frames = people([1.0, 1.1, 0.9], held={1})
    frames.write(tmp_path / "new" / "frames.npz")
    found = Frames.read(tmp_path / "new" / "frames.npz")
    assert np.array_equal(found.mel, frames.mel)
    assert np.array_equal(found.held, [False, True, False])
    assert found.recordings(held=True) == frames.recordings(held=True) != []


def test_recordings_are_dealt_out_by_who_is_held_aside(people: People) -> None:
    frames = people([1.0, 1.1, 0.9], held={1})
    used, aside = frames.recordings(held=False), frames.recordings(held=True)
    assert [owner for owner, _ in used] == [0, 0, 2, 2]
    assert [owner for owner, _ in aside] == [1, 1]
    covered = sorted((part.start, part.stop) for _, part in [*used, *aside])
    assert [0, *(stop for _, stop in covered)][:-1] == [start for start, _ in covered]
    assert covered[-1][1] == len(frames.mel)


def test_no_speaker_gives_more_than_his_share_and_what_failed_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "aside").write_text("c\n")
    params = VoiceNetwork(speaker_seconds=1.0, held_aside=tmp_path / "aside")
    found = files("a", "a", "a", "b", "b", "c")
    frames = gather(found, [one(), one(), one(), None, one(70), one()], params)
    assert frames.owners.tolist() == [0, 0, 1, 2]
    assert frames.ends.tolist() == [50, 100, 170, 220]
    assert frames.held.tolist() == [False, False, True]


def test_two_who_may_be_learned_from_must_be_understood(tmp_path: Path) -> None:
    (tmp_path / "aside").write_text("c\n")
    params = VoiceNetwork(held_aside=tmp_path / "aside")
    with pytest.raises(SpeechError, match="at least 2 speakers"):
        gather(files("a", "b", "c"), [one(), None, one()], params)
