"""Where a model comes from: the commit of the code and the version of the data."""

import subprocess
from pathlib import Path

import yaml

UNKNOWN = "unknown"
COMMIT_FILE = Path("COMMIT")


def git_commit() -> str:
    """Give the commit that is checked out, with `-dirty` if tracked files differ.

    An image has no repository but a file COMMIT, written when it was built; without either it is unknown.
    """
    try:
        describe = ["git", "describe", "--always", "--abbrev=40", "--match=", "--dirty"]
        return subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return COMMIT_FILE.read_text(encoding="utf-8").strip() or UNKNOWN if COMMIT_FILE.is_file() else UNKNOWN


def data_version(out: str = "data/ingested", stage: str = "ingest", lock: Path = Path("dvc.lock")) -> str:
    """Give the MD5 by which DVC knows the stage's output; unknown where the stage was not run by DVC."""
    if not lock.is_file():
        return UNKNOWN
    stages = yaml.safe_load(lock.read_text(encoding="utf-8")).get("stages", {})
    outs = stages.get(stage, {}).get("outs", [])
    return next((str(each["md5"]) for each in outs if each["path"] == out), UNKNOWN)
