"""What was typed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of ``masker mask`` as they were given; see its help. ``into`` says that OUT was named as a folder."""

    sources: tuple[Path, ...]
    out: Path | None = None
    style: str | None = None
    threshold: float | None = None
    search: str | None = None
    doubt: str = "mask"
    untouched: str = "code"
    voice: str = "drop"
    voice_style: str | None = None
    background: str | None = None
    consistent: bool = False
    regions: Path | None = None
    boxes: Path | None = None
    mask: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    report: Path | None = None
    key_file: Path | None = None
    keep_tone: bool = False
    dry_run: bool = False
    force: bool = False
    skip_existing: bool = False
    as_json: bool = False
    quiet: bool = False
    jobs: int = 0
    into: bool = False
