import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from cli.sweep import IDLE_SECONDS, UNTOLD_SECONDS, sweep

Run = Callable[..., Result]


def left(path: Path, seconds: float = 2 * IDLE_SECONDS, mode: int = 0o600) -> Path:
    path.write_bytes(b"half")
    path.chmod(mode)
    os.utime(path, (time.time() - seconds,) * 2)
    return path


@pytest.mark.parametrize(
    ("name", "changes", "removed"),
    [
        (".masker-ab12_xyz.part", {}, True),
        (".street.mp4.0123abcd.part", {}, True),
        (".a b\n.wav.0123abcd.part", {}, True),
        (".street.mp4.0123abcd.part", {"seconds": IDLE_SECONDS / 2}, False),
        (".street.mp4.0123abcd.part", {"mode": 0o644}, False),
        (".street.mp4.0123abc.part", {}, False),
        (".street.mp4.part", {}, False),
        ("street.mp4.0123abcd.part", {}, False),
    ],
)
def test_what_is_ours_and_old_is_removed(name: str, changes: dict[str, float], removed: bool, tmp_path: Path) -> None:
    path = left(tmp_path / name, **changes)  # type: ignore[arg-type]
    assert sweep([tmp_path, tmp_path, tmp_path / "not there"]) == removed
    assert path.exists() != removed


def test_what_a_process_holds_stays(tmp_path: Path) -> None:
    path = left(tmp_path / ".street.mp4.0123abcd.part")
    with path.open("rb"):
        assert sweep([tmp_path]) == 0
    assert sweep([tmp_path]) == 1


def test_a_process_that_cannot_be_looked_at_is_passed_over(tmp_path: Path) -> None:
    """One that ends meanwhile is an error of the system's own, which no file of a test can give; this is another."""
    path, processes = left(tmp_path / ".street.mp4.0123abcd.part"), tmp_path / "processes"
    (processes / "8/fd").mkdir(parents=True)
    (processes / "7").symlink_to("x" * 300)
    assert sweep([tmp_path], processes) == 1
    path = left(path)
    (processes / "8/fd/3").symlink_to(path)
    assert sweep([tmp_path], processes) == 0


def test_where_nobody_tells_what_is_held_a_file_has_to_be_older(tmp_path: Path) -> None:
    left(tmp_path / ".street.mp4.0123abcd.part")
    old = left(tmp_path / ".beach.mp4.0123abcd.part", 2 * UNTOLD_SECONDS)
    assert sweep([tmp_path], tmp_path / "nothing") == 1
    assert not old.exists()


def test_a_link_and_a_folder_stay(tmp_path: Path) -> None:
    (tmp_path / ".a.mp4.0123abcd.part").symlink_to(left(tmp_path / "kept"))
    (tmp_path / ".b.mp4.0123abcd.part").mkdir(mode=0o700)
    assert sweep([tmp_path]) == 0


def test_the_next_run_into_a_folder_sweeps_it(masker: Run, photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "out").mkdir()
    left(tmp_path / "out/.street.mp4.0123abcd.part")
    result = masker("mask", "a.jpg", "-o", "out/b.jpg")
    assert (result.exit_code, [path.name for path in (tmp_path / "out").iterdir()]) == (0, ["b.jpg"])
    assert "removed 1 file that an earlier run left unfinished" in result.stderr
