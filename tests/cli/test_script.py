"""The script itself, as a process: streams, exit codes, signals, links."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from masking.report import VERSION
from mlops.folders import entries
from tests.patience import PATIENCE_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / ".venv/bin/python").exists(), reason="the environment lies elsewhere")


def test_it_runs_from_any_folder_and_through_links(environment: dict[str, str], photo: bytes, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/masker").symlink_to(ROOT / "masker")
    (tmp_path / "a.jpg").write_bytes(photo)
    result = subprocess.run(
        ["bin/masker", "mask", "a.jpg", "-o", "b.jpg", "--json"],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0
    assert json.loads(result.stdout)["output"] == "b.jpg"
    assert b"\x1b" not in result.stderr
    assert (tmp_path / "b.jpg").exists()


def test_without_an_environment_the_way_to_one_is_told(tmp_path: Path) -> None:
    shutil.copy(ROOT / "masker", tmp_path / "masker")
    result = subprocess.run([tmp_path / "masker"], capture_output=True, text=True, check=False)
    assert (result.returncode, "make setup" in result.stderr) == (1, True)


def test_version_and_styles(tmp_path: Path) -> None:
    version = subprocess.run([ROOT / "masker", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert version.stdout == f"masker {VERSION}\n"


@pytest.fixture(scope="module")
def long_clip(
    small: NDArray[np.uint8],
    write_clip: Callable[[Path, Sequence[NDArray[np.uint8]]], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """So many frames that they are not masked before the interrupt comes, however quick the machine."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_clip(path, [small] * 5000)
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_half_file(
    number: signal.Signals, environment: dict[str, str], long_clip: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [ROOT / "masker", "mask", long_clip, "-o", "out/masked.mp4", "--style", "blur"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job in the background of a script is born with interrupts ignored, and so would be its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        until(lambda: entries(tmp_path / "out"))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert list((tmp_path / "out").iterdir()) == []


# The process sends itself a signal where it imports something; what is imported may tell that as a fault of its own.
EARLY = """
import os, sys
def hook(event, arguments):
    if event == "import" and arguments[0] == os.environ["EARLY"]:
        try:
            os.kill(os.getpid(), int(os.environ["NUMBER"]))
        except KeyboardInterrupt:
            raise ImportError("initialization failed") if "AS_FAULT" in os.environ else KeyboardInterrupt
sys.addaudithook(hook)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [{"EARLY": "typer"}, {"EARLY": "cli.mask"}, {"EARLY": "cli.mask", "AS_FAULT": "1"}])
def test_an_interrupt_while_it_starts_says_nothing(
    number: signal.Signals, more: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(EARLY, encoding="utf-8")
    (tmp_path / "a.jpg").touch()
    result = subprocess.run(
        [ROOT / "masker", "mask", "a.jpg", "-o", "b.jpg"],
        cwd=tmp_path,
        env=os.environ | more | {"NUMBER": str(int(number)), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (result.returncode, result.stderr, result.stdout) == (130, "", "")


def test_where_nobody_reads_on_the_rest_is_not_masked(
    environment: dict[str, str], photo: bytes, long_clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(photo)
    (tmp_path / "in/b.mp4").hardlink_to(long_clip)
    process = subprocess.Popen(
        [ROOT / "masker", "mask", "in", "-o", "out", "--json", "--jobs", "1"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.close()
    try:
        assert process.wait(PATIENCE_SECONDS) == 1
    finally:
        process.kill()
    assert [entry.name for entry in entries(tmp_path / "out")] == ["a.jpg"]


@pytest.mark.parametrize("place", [("-o", "a.jpg"), ("-o", "link.jpg"), ("-o", "b.jpg", "--report", "again.json")])
def test_not_even_force_writes_over_what_standard_input_comes_from(
    place: tuple[str, ...], environment: dict[str, str], photo: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(photo)
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "again.json").hardlink_to(tmp_path / "a.jpg")
    with (tmp_path / "a.jpg").open("rb") as original:
        result = subprocess.run(
            [ROOT / "masker", "mask", "-", *place, "--force"],
            cwd=tmp_path,
            env=os.environ | environment,
            stdin=original,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (result.returncode, "is an input" in " ".join(result.stderr.split())) == (2, True)
    assert (tmp_path / "link.jpg").is_symlink()
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {photo}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "again.json", "link.jpg"]
