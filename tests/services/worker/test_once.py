"""`python -m services.worker --once` as a process: whenever a signal ends it, the next one finds nothing of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops.registry.bundle import installed
from mlops.registry.mlflow import Registry
from tests.patience import PATIENCE_SECONDS

NAME = "face-detector"
# The process sends itself a signal just when it begins to copy a bundle.
SIGNAL = """
import os, sys
def hook(event, arguments):
    if event == "shutil.copytree" and ".incoming" in str(arguments[1]):
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
if "SIGNAL" in os.environ:
    sys.addaudithook(hook)
"""


@pytest.fixture
def folder(tmp_path: Path, logged_run: str, logged_digest: str) -> Path:
    """A folder with a registry that has a champion."""
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db")
    registry.promote(NAME, registry.register(NAME, logged_run, "bundle", logged_digest, {}).version)
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(SIGNAL, encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    return tmp_path


def once(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "MASKER_REGISTRY__TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MASKER_REGISTRY__BUNDLES_PATH": str(folder / "bundles"),
        "MASKER_DATABASE__URL": f"sqlite:///{folder}/platform.db",
        "PYTHONPATH": os.pathsep.join([str(folder / "watch"), *sys.path]),
        "TMPDIR": str(folder / "temporary"),
    }
    return subprocess.run(
        [sys.executable, "-m", "services.worker", "--once"],
        env=os.environ | environment | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def incoming(folder: Path) -> list[Path]:
    return list((folder / "bundles" / NAME).glob(".incoming*"))


def test_one_that_is_asked_to_end_removes_what_is_on_its_way(folder: Path) -> None:
    ended = once(folder, SIGNAL="15")
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((folder / "temporary").iterdir()) == []
    assert incoming(folder) == []
    assert installed(folder / "bundles", NAME) is None


def test_what_a_killed_one_left_is_removed_by_the_next(folder: Path) -> None:
    assert once(folder, SIGNAL="9").returncode == -9
    assert incoming(folder) != []
    ended = once(folder)
    assert ended.returncode == 0, ended.stderr
    assert incoming(folder) == []
    assert installed(folder / "bundles", NAME) is not None
