"""Which files a folder holds that masking is for."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SOUND_SUFFIXES: Final = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".mp3",
        ".m4a",
        ".m4b",
        ".aac",
        ".ogg",
        ".oga",
        ".opus",
        ".mka",
        ".weba",
        ".wma",
        ".aif",
        ".aiff",
        ".aifc",
        ".caf",
        ".au",
        ".amr",
        ".ac3",
        ".mp2",
        ".ape",
        ".wv",
    ]
)
"""Names that promise sound."""
MEDIA_SUFFIXES: Final = SOUND_SUFFIXES.union(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jp2",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".raw",
        ".mp4",
        ".m4v",
        ".mov",
        ".qt",
        ".mkv",
        ".webm",
        ".avi",
        ".wmv",
        ".flv",
        ".mpg",
        ".mpeg",
        ".mts",
        ".m2ts",
        ".3gp",
        ".3g2",
        ".ogv",
        ".vob",
        ".mxf",
    ]
)
"""Names that promise a picture or sound. A kind that is not masked here counts too: who is passed over must be told."""

_HEAD_BYTES: Final = 16
_MAGICS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\x1aE\xdf\xa3", b"fLaC", b"OggS", b"ID3")


@dataclass(slots=True)
class Walked:
    """What was found under a folder.

    Attributes:
        files: Files that name themselves media, or look like it, in order of their names.
        passed: How many others there are, hidden ones among them.
        loops: Links that lead back to a folder above them.
        closed: Folders and links that may not be read, or lead to themselves.
    """

    files: list[Path] = field(default_factory=list)
    passed: int = 0
    loops: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)


def walk(folder: Path, without: Path | None = None) -> Walked:
    """Walk a folder and all folders in it, through links too.

    Args:
        folder: Where to begin.
        without: A folder that is passed over, which is where the results go.
    """
    walked = Walked()
    _walk(folder, without.resolve() if without else None, (), walked)
    return walked


def looks_like_media(path: Path) -> bool:
    """Tell whether a file's name or its first bytes promise a picture, a video or sound."""
    if path.suffix.lower() in MEDIA_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    riff = head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI ", b"WAVE")
    return head.startswith(_MAGICS) or head[4:8] == b"ftyp" or riff


def _walk(folder: Path, without: Path | None, above: tuple[Path, ...], walked: Walked) -> None:
    real = folder.resolve()
    if real == without:
        return
    if real in above:
        walked.loops.append(folder)
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        walked.closed.append(folder)
        return
    for path, is_folder in _open(entries, walked):
        if is_folder:
            _walk(path, without, (*above, real), walked)
        elif looks_like_media(path):
            walked.files.append(path)
        else:
            walked.passed += 1


def _open(entries: list[os.DirEntry[str]], walked: Walked) -> Iterator[tuple[Path, bool]]:
    """Yield what is a plain file or a folder and not hidden; count the rest."""
    for entry in entries:
        if entry.name.startswith("."):
            walked.passed += 1
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            # A link whose end cannot be looked at, since it leads to itself or into a folder that is closed.
            walked.closed.append(Path(entry.path))
            continue
        if is_folder or is_file:
            yield Path(entry.path), is_folder
        else:
            walked.passed += 1
