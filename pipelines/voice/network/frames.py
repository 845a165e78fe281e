"""First step of `make train-voice`: recordings become frames, with what each frame is heard as.

    python -m pipelines.voice.network.frames

reads data/speech and writes data/voice-network/frames.npz. No sound is kept, and no name of a speaker or file.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from masking.errors import MediaError
from masking.voice.envelope import envelopes
from masking.voice.mel import whole
from masking.voice.pitch import pitch_of
from masking.voice.types import HOP, RATE, Mono
from pipelines.helpers import end_with_parent
from pipelines.params import VoiceNetwork, load_params
from pipelines.voice.network.phones import voiced_of
from pipelines.voice.network.speech import Recorded, SpeechError, find_speech, held_aside, read_names
from pipelines.voice.sounds import read_mono

SPEECH: Final = Path("data/speech")
OUT: Final = Path("data/voice-network/frames.npz")
SHORTEST: Final = 0.3
"""Seconds of the shortest recording that is used."""
_TELL: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Frames of one recording.

    Attributes:
        mel: Log-mel frames, shape (n, 80), float32.
        envelope: Log amplitude without harmonics as of `masking.voice.envelope`, shape (n, 80), float16.
        voiced: Shape (n,), bool.
        classes: Shape (n,), int16, as of `pipelines.voice.network.phones`.
    """

    mel: NDArray[np.float32]
    envelope: NDArray[np.float16]
    voiced: NDArray[np.bool_]
    classes: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Frames of all recordings, one after the other.

    Attributes:
        mel: As of `Heard`, as are the next three.
        ends: Frame after the last of each recording, shape (recordings,).
        owners: Number of each recording's speaker, shape (recordings,).
        held: For each speaker, whether training must not see him, shape (speakers,).
    """

    mel: NDArray[np.float32]
    envelope: NDArray[np.float16]
    voiced: NDArray[np.bool_]
    classes: NDArray[np.int16]
    ends: NDArray[np.int64]
    owners: NDArray[np.int64]
    held: NDArray[np.bool_]

    @classmethod
    def joined(cls, heard: Sequence[Heard], owners: Sequence[int], held: Sequence[bool]) -> Self:
        """Put recordings together."""
        parts = {field.name: np.concatenate([getattr(each, field.name) for each in heard]) for field in fields(Heard)}
        ends = np.cumsum([len(each.mel) for each in heard])
        return cls(**parts, ends=ends, owners=np.array(owners, np.int64), held=np.array(held, np.bool_))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote."""
        with np.load(file, allow_pickle=False) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def write(self, file: Path) -> None:
        """Write all of it into one file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            np.savez(out, **{field.name: getattr(self, field.name) for field in fields(self)})

    def recordings(self, *, held: bool) -> list[tuple[int, slice]]:
        """List speaker and frames of each recording, of those who are held aside or of those who are not."""
        starts = np.concatenate([[0], self.ends[:-1]]).tolist()
        every = zip(self.owners.tolist(), starts, self.ends.tolist(), strict=True)
        return [(owner, slice(start, end)) for owner, start, end in every if bool(self.held[owner]) == held]


def heard(samples: Mono, classes: NDArray[np.int16]) -> Heard:
    """Analyse one recording, shape (n,), of which the classes of its n // 160 + 1 frames are known."""
    pitch = pitch_of(samples)[:, 0]
    return Heard(whole(samples), envelopes(samples, pitch).astype(np.float16), voiced_of(classes), classes)


def hear(recorded: Recorded, longest_seconds: float) -> Heard | None:
    """Read one recording and ask the teacher; None where it cannot be read, is too short, or is not understood."""
    from pipelines.voice.network.teacher import taught  # the recogniser is in the training's environment alone

    try:
        samples = read_mono(recorded.path, longest_seconds)[: int(longest_seconds * RATE)]
    except (MediaError, OSError):
        return None
    if len(samples) < SHORTEST * RATE:
        return None
    classes = taught(samples, recorded.text, len(samples) // HOP + 1)
    return None if classes is None else heard(samples, classes)


def gather(found: Sequence[Recorded], results: Iterable[Heard | None], params: VoiceNetwork) -> Frames:
    """Put what was heard together, of each speaker no more than `speaker_seconds`.

    Args:
        found: The recordings.
        results: What was heard of each.
        params: How much is taken, and who is held aside.

    Raises:
        SpeechError: Nobody, or nobody who may be learned from, was understood.
    """
    speakers = sorted({each.speaker for each in found})
    aside = held_aside(speakers, read_names(params.held_aside), params.held_aside_share, params.seed)
    number = {name: index for index, name in enumerate(speakers)}
    taken = dict.fromkeys(speakers, 0)
    kept: list[tuple[Heard, int]] = []
    for each, result in zip(found, results, strict=True):
        if result is not None and taken[each.speaker] * HOP < params.speaker_seconds * RATE:
            taken[each.speaker] += len(result.mel)
            kept.append((result, number[each.speaker]))
    if len({owner for _, owner in kept if speakers[owner] not in aside}) < 2:
        raise SpeechError("at least 2 speakers who may be learned from must be understood")
    return Frames.joined([each for each, _ in kept], [owner for _, owner in kept], [name in aside for name in speakers])


def _told(results: Iterable[Heard | None], count: int) -> Iterator[Heard | None]:
    understood = 0
    for index, each in enumerate(results, 1):
        understood += each is not None
        if index % _TELL == 0 or index == count:
            sys.stderr.write(f"frames: {index} of {count} recordings, {understood} understood\n")
        yield each


def main() -> None:
    """Write data/voice-network/frames.npz."""
    params = load_params().voice_network
    try:
        found = find_speech(SPEECH)
        with ProcessPoolExecutor(params.workers, initializer=end_with_parent) as pool:
            ask = partial(hear, longest_seconds=params.longest_seconds)
            frames = gather(found, _told(pool.map(ask, found), len(found)), params)
    except SpeechError as error:
        sys.exit(f"frames: {error}")
    frames.write(OUT)


if __name__ == "__main__":
    main()
