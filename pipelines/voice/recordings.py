"""The user's own recordings: sound files of a folder whose first level of folders names the speakers.

That is also how LibriSpeech lies on a disk: speaker/chapter/utterance.flac. Names of speakers and files stay there: the
table holds keyed hashes of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from masking.errors import MediaError
from masking.voice.types import RATE, Mono
from pipelines.photos import hashed
from pipelines.voice.dataset import Split, Utterance
from pipelines.voice.sounds import SUFFIXES, read_mono

PATTERNS: Final = {"folder": "*/*", "librispeech": "*/*/*.flac"}
SHORTEST_SECONDS: Final = 1.0


class RecordingsError(Exception):
    """The folder, as a whole, cannot be used."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How recordings are read.

    Attributes:
        longest_seconds: Longer ones are cut into equal parts of at most this length.
        speaker_seconds: Most speech of one speaker.
        key: Secret of all hashes.
    """

    longest_seconds: float
    speaker_seconds: float
    key: bytes


def find_recordings(folder: Path, layout: str) -> dict[str, list[Path]]:
    """List the sound files of each speaker.

    Args:
        folder: Where they lie.
        layout: ``folder`` (speaker/utterance.*) or ``librispeech`` (speaker/chapter/*.flac).

    Raises:
        RecordingsError: There are fewer than three speakers: one to learn from, one to attack with, one to seek.
    """
    paths = sorted(path for path in folder.glob(PATTERNS[layout]) if path.suffix.lower() in SUFFIXES and path.is_file())
    speakers: dict[str, list[Path]] = {}
    for path in paths:
        speakers.setdefault(path.relative_to(folder).parts[0], []).append(path)
    if len(speakers) < 3:
        raise RecordingsError(f"{folder} holds {len(speakers)} speakers, at least 3 are needed: SPEAKER/*.wav")
    return speakers


def read_recordings(
    speakers: Mapping[str, Sequence[Path]], splits: Mapping[str, Split], reading: Reading, skipped: list[str]
) -> Iterator[Utterance]:
    """Give the utterances of each speaker; what cannot be read gives none, and ``skipped`` gets its name and why."""
    for speaker, paths in speakers.items():
        name, left = hashed(reading.key, "voice", speaker), reading.speaker_seconds * RATE
        for path in paths:
            if left < SHORTEST_SECONDS * RATE:
                break
            try:
                samples = read_mono(path, reading.speaker_seconds)[: int(left)]
            except (MediaError, OSError) as error:
                skipped.append(f"{speaker}/{path.name}: {error}")
                continue
            left -= len(samples)
            ident = hashed(reading.key, "recording", f"{speaker}/{path.name}")
            for index, part in enumerate(_parts(samples, reading.longest_seconds)):
                yield Utterance(f"{ident}-{index:03d}", name, splits[speaker], part, "recording")


def _parts(samples: Mono, longest_seconds: float) -> Iterator[Mono]:
    """Cut into equal parts; what is shorter than a second is left out."""
    count = max(1, int(np.ceil(len(samples) / (longest_seconds * RATE))))
    size = len(samples) // count
    if size >= SHORTEST_SECONDS * RATE:
        yield from (samples[i * size : (i + 1) * size] for i in range(count))


def split_of(
    names: Sequence[str], train_share: float, attack_share: float, seed: int | Sequence[int]
) -> dict[str, Split]:
    """Deal speakers into splits, each of which gets one at least.

    Args:
        names: At least three.
        train_share: Of the speakers, for the model.
        attack_share: Of the speakers, for the attackers.
        seed: Of the draw.
    """
    count = len(names)
    train = min(max(round(count * train_share), 1), count - 2)
    attack = min(max(round(count * attack_share), 1), count - train - 1)
    split: dict[str, Split] = {}
    for place, index in enumerate(np.random.default_rng(seed).permutation(count).tolist()):
        split[names[index]] = "train" if place < train else "attack" if place < train + attack else "test"
    return split
