"""Real speech from the folder that MASKER_REAL_DATA names, and who of it plays which part; never part of the project.

Nobody plays two parts: of the people of `voices/librispeech/train-clean-100` who said 11 seconds or more, 35 of each
sex are sought, evenly spaced by their number; attackers learn from all others. The base model that ships was trained
on some of those others. Of `voices/speech_commands` every third person tests the judge of words; the others teach it.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from masking.evaluation.voice.types import Said
from masking.voice.types import RATE, Mono
from mlops.settings import load_settings
from pipelines.voice.sounds import read_mono

SOUGHT_OF_A_SEX: Final = 35
LEAST_SECONDS: Final = 11
MOST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Recordings of single words, which word each is, and who said it."""

    sounds: tuple[Mono, ...]
    said: tuple[str, ...]
    speakers: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Voices:
    """Speech of the people who are sought and of those whom attackers learn from, and words to learn and to test."""

    sought: tuple[Said, ...]
    known: tuple[Said, ...]
    lessons: Words
    words: Words


def voices() -> Voices:
    """Read all of it; without a folder the program ends, loudly."""
    root = load_settings().real_data
    if root is None:
        sys.stderr.write("BENCHMARK SKIPPED: MASKER_REAL_DATA names no folder of real voices\n")
        raise SystemExit(0)
    folder = root / "voices"
    sex = sexes(folder / "librispeech/SPEAKERS.TXT")
    single = [_said(path, sex) for path in sorted(folder.glob("librispeech/train-clean-100/*.flac"), key=_number)]
    others = [_said(path, sex) for path in sorted(folder.glob("librispeech/test-other/*/*.flac"))]
    names = chosen(single)
    spoken = sorted(folder.glob("speech_commands/*/*.flac"))
    speakers = sorted({_speaker_of_word(path) for path in spoken})
    tested = set(speakers[2::3])
    return Voices(
        sought=tuple(each for each in single if each.speaker in names),
        known=(*(each for each in single if each.speaker not in names), *others),
        lessons=_words([path for path in spoken if _speaker_of_word(path) not in tested]),
        words=_words([path for path in spoken if _speaker_of_word(path) in tested]),
    )


def chosen(said: Sequence[Said]) -> set[str]:
    """Names of those who are sought: of each sex evenly spaced in the order given, of who said enough."""
    names: set[str] = set()
    for group in sorted({each.group for each in said}):
        able = [each.speaker for each in said if each.group == group and len(each.samples) >= LEAST_SECONDS * RATE]
        wanted = min(SOUGHT_OF_A_SEX, len(able))
        names |= {able[index * len(able) // wanted] for index in range(wanted)}
    return names


def sexes(table: Path) -> dict[str, str]:
    """Sex of each speaker by number, from LibriSpeech's own table."""
    rows = [line.split("|") for line in table.read_text("utf-8").splitlines() if line and not line.startswith(";")]
    return {row[0].strip(): row[1].strip().lower() for row in rows}


def _said(path: Path, sex: dict[str, str]) -> Said:
    speaker = path.name.split("-")[0]
    return Said(speaker, read_mono(path, MOST_SECONDS), sex[speaker])


def _number(path: Path) -> int:
    return int(path.name.split("-")[0])


def _speaker_of_word(path: Path) -> str:
    return path.name.split("_")[0]


def _words(paths: Sequence[Path]) -> Words:
    sounds = tuple(read_mono(path, 2.0) for path in paths)
    return Words(sounds, tuple(path.parent.name for path in paths), tuple(_speaker_of_word(path) for path in paths))
