"""The recordings that the network learns from: whose they are, what is known to be said, and who is held aside.

A folder may hold several corpora, told apart by how their files are called: SPEAKER-CHAPTER-NUMBER is LibriSpeech's,
WORD/SPEAKER_nohash_NUMBER that of Speech Commands, where the folder is what is said; of everything else the first
folder is the speaker.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.voice.sounds import SUFFIXES

_LIBRISPEECH: Final = re.compile(r"(\d+)-\d+-\d+")
_COMMAND: Final = re.compile(r"([0-9a-f]{8})_nohash_\d+")


class SpeechError(Exception):
    """The folder, as a whole, cannot be learned from."""


@dataclass(frozen=True, slots=True, order=True)
class Recorded:
    """One file: whose it is, and what is said where the folder tells."""

    path: Path
    speaker: str
    text: str | None = None


def find_speech(folder: Path) -> list[Recorded]:
    """List the recordings of a folder, sorted; folders whose names begin with ``_`` or ``.`` are left out.

    Raises:
        SpeechError: There are fewer than two speakers: an average needs two.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = [_recorded(path, folder) for path in paths if not _hidden(path.relative_to(folder))]
    speakers = len({each.speaker for each in found})
    if speakers < 2:
        raise SpeechError(f"{folder} holds {speakers} speakers, at least 2 are needed: SPEAKER/*.wav")
    return found


def _hidden(path: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def _recorded(path: Path, folder: Path) -> Recorded:
    if match := _LIBRISPEECH.fullmatch(path.stem):
        return Recorded(path, match[1])
    if match := _COMMAND.fullmatch(path.stem):
        return Recorded(path, match[1], path.parent.name.lower())
    return Recorded(path, path.relative_to(folder).parts[0])


def read_names(file: Path) -> frozenset[str]:
    """Read names, one a line; none where there is no such file. A ``#`` begins a comment."""
    if not file.is_file():
        return frozenset()
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return frozenset(line for line in lines if line)


def held_aside(speakers: Sequence[str], listed: Collection[str], share: float, seed: int) -> frozenset[str]:
    """Say whose speech training never sees.

    Args:
        speakers: All there are, each once.
        listed: Who was named; where anybody of them is here, nobody else is held aside.
        share: Of the speakers, drawn where nobody was named; at least one, and one is left at least.
        seed: Of the draw.

    Raises:
        SpeechError: Nobody is left to learn from.
    """
    named = frozenset(speakers) & frozenset(listed)
    if named:
        if len(named) == len(speakers):
            raise SpeechError("every speaker is held aside, and nobody is left to learn from")
        return named
    count = min(max(round(len(speakers) * share), 1), len(speakers) - 1)
    order = np.random.default_rng(seed).permutation(len(speakers))
    return frozenset(speakers[index] for index in order[:count].tolist())
