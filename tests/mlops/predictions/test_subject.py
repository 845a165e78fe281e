from pathlib import Path

import pytest

from mlops.predictions.subject import pseudonym, subject_key


def test_a_key_that_is_drawn_is_kept_and_nobody_else_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    first = subject_key(None, folder)
    assert subject_key(None, folder) == first
    assert len(first) == 32
    assert [each.name for each in folder.iterdir()] == ["subject.key"]
    assert (folder / "subject.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("left", [b"", b"k" * 31])
def test_a_key_that_was_cut_off_is_drawn_anew(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "subject.key").write_bytes(left)
    drawn = subject_key(None, tmp_path)
    assert len(drawn) == 32
    assert not drawn.startswith(b"kkkk")
    assert subject_key(None, tmp_path) == drawn


def test_a_secret_gives_the_same_key_everywhere_and_is_not_it(tmp_path: Path) -> None:
    secret = b"s" * 32
    assert subject_key(secret, tmp_path / "a") == subject_key(secret, tmp_path / "b") != secret
    assert list(tmp_path.iterdir()) == []


def test_a_pseudonym_depends_on_the_key_and_does_not_show_the_subject() -> None:
    one, other = b"1" * 32, b"2" * 32
    assert pseudonym("ann@example.org", one) == pseudonym("ann@example.org", one)
    assert len({pseudonym("ann", one), pseudonym("ann", other), pseudonym("bob", one)}) == 3
    assert "ann" not in pseudonym("ann", one)
    assert pseudonym("", one) == ""
