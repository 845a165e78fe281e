import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def results(champion: Path, photo: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photo, the same one masked, and the report."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "a.jpg").write_bytes(photo)
    original, result, report = (str(folder / name) for name in ("a.jpg", "b.jpg", "b.json"))
    environment = {"MASKER_REGISTRY__BUNDLES_PATH": str(champion)}
    done = CliRunner().invoke(app, ["mask", original, "-o", result, "--report", report], env=environment)
    assert done.exit_code == 0
    return folder


@pytest.fixture
def masked(masker: Run, results: Path, tmp_path: Path) -> Run:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    return masker


def test_nothing_shows(masked: Run) -> None:
    result = masked("verify", "a.jpg", "b.jpg", "b.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing shows" in result.stderr


def test_what_shows_is_told_and_exits_4(masked: Run) -> None:
    result = masked("verify", "a.jpg", "a.jpg", "b.json", "--json")
    (line,) = result.stdout.splitlines()
    told = json.loads(line)
    assert (result.exit_code, told["state"]) == (4, "shows")
    assert {finding["code"] for finding in told["findings"]} >= {"output_hash", "open_face"}
    assert "open_face: a face" in masked("verify", "a.jpg", "a.jpg", "b.json").stdout


def test_what_was_kept_or_masked_by_hand_is_told_again(masked: Run) -> None:
    drawn = ("--keep", "0,0,160,188", "--mask", "2,150,30,180")
    assert masked("mask", "a.jpg", "-o", "c.jpg", "--report", "c.json", *drawn).exit_code == 0
    assert masked("verify", "a.jpg", "c.jpg", "c.json").exit_code == 4
    assert masked("verify", "a.jpg", "c.jpg", "c.json", *drawn).exit_code == 0
    missed = masked("verify", "a.jpg", "c.jpg", "c.json", *drawn[:2], "--mask", "100,150,130,180")
    assert (missed.exit_code, missed.stdout.count("open_face")) == (4, 1)
    assert missed.stderr.rstrip().endswith(": 1 finding")


def test_what_cannot_be_read_exits_1(masked: Run, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    assert masked("verify", "a.jpg", "b.jpg", "no.json").exit_code == 1
    (tmp_path / "half.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:900])
    assert masked("verify", "a.jpg", "half.jpg", "b.json").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [("a.jpg", "b.jpg"), ("a.jpg", "b.jpg", "none.json"), ("a.jpg", "b.jpg", "b.json", "--search", "hard"),
     ("a.jpg", "b.jpg", "b.json", "--keep", "1,2,3"),
     ("a.jpg", "b.jpg", "b.json", "--threshold", "2"), ("a.jpg", "b.jpg", "b.json", "--every", "0")],
)  # fmt: skip
def test_wrong_usage_exits_2(arguments: tuple[str, ...], masked: Run) -> None:
    assert masked("verify", *arguments).exit_code == 2
