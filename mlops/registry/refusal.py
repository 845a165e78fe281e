"""Why a version that somebody wants cannot be had: a sentence in a file beside the bundles, for whoever waits for it.

<root>/<name>/<version>.refused
"""

from pathlib import Path
from typing import Final

from mlops.folders import write_whole

SUFFIX: Final = ".refused"
MOST: Final = 500


def refuse(root: Path, name: str, version: str, why: str) -> None:
    """Say why a version cannot be brought."""
    write_whole(_place(root, name, version), why[:MOST])


def accept(root: Path, name: str, version: str) -> None:
    """Say no longer that a version cannot be brought."""
    _place(root, name, version).unlink(missing_ok=True)


def refusal(root: Path, name: str, version: str) -> str | None:
    """Return why a version cannot be brought; None where nobody says so."""
    try:
        return _place(root, name, version).read_text(encoding="utf-8")
    except OSError:
        return None


def _place(root: Path, name: str, version: str) -> Path:
    return root / name / f"{version}{SUFFIX}"
