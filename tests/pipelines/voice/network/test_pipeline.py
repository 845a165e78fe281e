"""The pipeline of `make train-voice`, as DVC takes it."""

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
PIPELINE = ROOT / "pipelines/voice/network/dvc.yaml"
STAGES = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]


def test_dvc_can_write_its_lock() -> None:
    """DVC refuses to run a pipeline whose lock git ignores."""
    lock = PIPELINE.with_suffix(".lock").relative_to(ROOT)
    asked = subprocess.run(["git", "check-ignore", "--quiet", str(lock)], cwd=ROOT, check=False)
    if asked.returncode not in (0, 1):
        pytest.skip("this is no checkout of git")
    assert asked.returncode == 1


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_files_that_are_there_or_that_an_earlier_one_makes(name: str) -> None:
    made = {"data/speech"}
    for earlier in list(STAGES)[: list(STAGES).index(name)]:
        outs = [*STAGES[earlier]["outs"], *STAGES[earlier].get("metrics", [])]
        made |= {next(iter(each)) if isinstance(each, dict) else each for each in outs}
    assert [each for each in STAGES[name]["deps"] if each not in made and not (ROOT / each).is_file()] == []
