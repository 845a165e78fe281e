import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops.folders import entries, write_whole
from tests.vanishing import vanishing


def test_what_lies_in_a_folder_is_told_in_order(tmp_path: Path) -> None:
    for name in ("b.rows", "a.rows", ".rows", "a.rows.open", "a/in.rows"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [place.name for place in entries(tmp_path)] == [".rows", "a", "a.rows", "a.rows.open", "b.rows"]
    assert entries(tmp_path, "[!.]*.rows") == [tmp_path / "a.rows", tmp_path / "b.rows"]


def test_what_is_no_folder_has_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    for place in ("file", "broken", "nothing", "nothing/below"):
        assert entries(tmp_path / place) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any folder")
def test_a_folder_that_is_closed_to_us_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / "theirs").chmod(0)
    assert entries(tmp_path / "theirs") == []
    (tmp_path / "theirs").chmod(0o700)


def test_what_cannot_be_looked_at_is_not_taken_for_empty(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        entries(tmp_path / "loop")


def test_folders_may_go_between_being_found_and_being_looked_into(tmp_path: Path) -> None:
    with vanishing(tmp_path, "file.rows"):
        for _ in range(300):
            for folder in entries(tmp_path):
                entries(folder, "*.rows")


def test_a_file_that_several_write_at_once_is_always_that_of_one(tmp_path: Path) -> None:
    place, texts = tmp_path / "folder" / "file.json", [letter * 20_000 for letter in "abcd"]

    def write(text: str) -> None:
        for _ in range(100):
            write_whole(place, text)
            assert place.read_text(encoding="utf-8") in texts

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, texts))
    assert list(place.parent.iterdir()) == [place]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file" / "other").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "file", "text")
    assert (tmp_path / "file" / "other").is_dir()
