import hashlib
from pathlib import Path

import numpy as np
import pytest
from av.error import FFmpegError
from hypothesis import given
from hypothesis import strategies as st

from pipelines.voice.dataset import FILE, Utterance, decode, encode, read, read_index, write


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@given(st.integers(1, 20_000), st.integers(0, 100))
def test_sound_comes_back_to_the_sample_and_to_sixteen_bits(samples: int, seed: int) -> None:
    said = np.clip(noise(samples, seed), -1, 1)
    heard = decode(encode(said))
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, said, atol=0.51 / 32767)


@pytest.mark.parametrize("sound", [b"", b"fLaC", b"no sound at all"])
def test_what_is_no_sound_is_an_error(sound: bytes) -> None:
    with pytest.raises((FFmpegError, ValueError)):
        decode(sound)


def test_utterances_are_read_as_they_were_written_and_by_split_and_kind(tmp_path: Path) -> None:
    phrase = Utterance(
        "a-0", "a", "train", noise(4000), "procedural", sex="f", phones=("S", "AA"), phone_ends=(2000, 4000)
    )
    word = Utterance("b-0", "b", "test", noise(3000, 1), "procedural", "word", "S-AA")
    assert write(tmp_path / "speech", [phrase, word]) == 2
    (found,) = read(tmp_path / "speech", "train")
    assert (found.utterance_id, found.speaker, found.sex, found.phones, found.phone_ends) == (
        "a-0",
        "a",
        "f",
        ("S", "AA"),
        (2000, 4000),
    )
    np.testing.assert_allclose(found.samples, phrase.samples, atol=1e-4)
    assert [each.word for each in read(tmp_path / "speech", kind="word")] == ["S-AA"]
    assert list(read(tmp_path / "speech", "attack")) == []
    assert "sound" not in read_index(tmp_path / "speech").columns


def test_the_same_utterances_give_the_same_bytes_and_a_fault_leaves_what_was_there(tmp_path: Path) -> None:
    utterances = [Utterance(f"a-{i}", "a", "train", noise(2000, i), "procedural") for i in range(3)]
    write(tmp_path / "speech", utterances)
    file = tmp_path / "speech" / FILE
    first = hashlib.sha256(file.read_bytes()).digest()
    write(tmp_path / "speech", utterances)
    assert hashlib.sha256(file.read_bytes()).digest() == first

    def failing() -> object:
        yield utterances[0]
        raise RuntimeError("the disk of the user is gone")

    with pytest.raises(RuntimeError):
        write(tmp_path / "speech", failing())  # type: ignore[arg-type]
    assert hashlib.sha256(file.read_bytes()).digest() == first
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]
