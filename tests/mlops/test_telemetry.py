"""Nothing phones home: what packages report, or write down to report, is switched off before they are imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.telemetry import SWITCHES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["masking.onnx", "pipelines.quantization", "services.standalone", "cli.work"])
def test_onnxruntime_makes_no_identifier_and_no_store_of_events(module: str, tmp_path: Path) -> None:
    # Its library sends by itself, past Python, and not where CI is set; the identifier comes before anything is sent.
    home, cache = tmp_path / "home", tmp_path / "cache"
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "PATH": os.environ["PATH"]}
    home.mkdir()
    cache.mkdir()
    subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, env=places, check=True)
    kept = [path.name for place in (home, cache) for path in place.rglob("*")]
    assert not [name for name in kept if re.search("microsoft|onnxruntime|deviceid", name, re.IGNORECASE)]


def test_make_sets_the_same_switches() -> None:
    exported = dict(re.findall(r"^export (\w+) := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert SWITCHES.items() - exported.items() == {("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")}
