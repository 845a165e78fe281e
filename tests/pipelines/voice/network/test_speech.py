"""Whose recordings lie in a folder, and who of them is held aside."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.voice.network.speech import SpeechError, find_speech, held_aside, read_names


def put(folder: Path, *places: str) -> None:
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"")


@pytest.mark.parametrize(
    ("place", "speaker", "text"),
    [
        ("anna/first.wav", "anna", None),
        ("anna/deep/er/first.OGG", "anna", None),
        ("train/19/198/19-198-0001.flac", "19", None),
        ("train/19-198-0001.flac", "19", None),
        ("Left/0a1b2c3d_nohash_0.wav", "0a1b2c3d", "left"),
        ("left/0a1b2c3d.wav", "left", None),
    ],
)
def test_speaker_and_text_are_told_by_the_layout(tmp_path: Path, place: str, speaker: str, text: str | None) -> None:
    put(tmp_path, place, "somebody/else.wav")
    (found,) = (each for each in find_speech(tmp_path) if each.path == tmp_path / place)
    assert (found.speaker, found.text) == (speaker, text)


def test_what_is_no_recording_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a/1.wav", "b/1.wav", "a/notes.txt", "_background_noise_/hum.wav", ".trash/1.wav")
    assert [each.path.relative_to(tmp_path).as_posix() for each in find_speech(tmp_path)] == ["a/1.wav", "b/1.wav"]


@pytest.mark.parametrize("places", [(), ("a/1.wav", "a/2.wav")])
def test_an_average_needs_two_speakers(tmp_path: Path, places: tuple[str, ...]) -> None:
    put(tmp_path, *places)
    with pytest.raises(SpeechError, match=r"holds [01] speakers"):
        find_speech(tmp_path)


def test_names_are_read_without_comments(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("# who\n19\n\n 26 # twice\n26\n")
    assert read_names(tmp_path / "names") == {"19", "26"}
    assert read_names(tmp_path / "missing") == frozenset()


def test_who_is_named_is_held_aside_and_nobody_else() -> None:
    assert held_aside(["a", "b", "c"], {"b", "not here"}, 0.9, 0) == {"b"}


def test_somebody_is_left_to_learn_from() -> None:
    with pytest.raises(SpeechError, match="nobody is left"):
        held_aside(["a", "b"], {"a", "b"}, 0.5, 0)


@given(count=st.integers(2, 60), share=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_a_share_is_drawn_where_nobody_is_named(count: int, share: float, seed: int) -> None:
    names = [str(number) for number in range(count)]
    found = held_aside(names, (), share, seed)
    assert found == held_aside(names, ("nobody",), share, seed)
    assert 1 <= len(found) < count
    assert abs(len(found) - count * share) <= 1
