"""Sound files of any kind, as the voice models hear them."""

from pathlib import Path
from typing import Final

import numpy as np

from masking.media.audio import AudioLimits, open_audio, probe_audio
from masking.voice.resample import Resampler
from masking.voice.types import RATE, Mono

SUFFIXES: Final = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac"})
_LIMITS: Final = AudioLimits(bytes=2**31, seconds=6 * 3600.0)


def read_mono(path: Path, most_seconds: float) -> Mono:
    """Read the beginning of a sound file, its channels averaged, at 16 kHz.

    Raises:
        MediaError: It cannot be read, or is damaged before so much of it was read.
    """
    probe = probe_audio(path, _LIMITS)
    resampler, parts, count = Resampler(probe.rate, RATE, 1), [], 0
    with open_audio(path, probe) as reader:
        for block in reader:
            parts.append(resampler.feed(block.mean(axis=1, keepdims=True, dtype=np.float32)))
            count += len(block)
            if count >= most_seconds * probe.rate:
                break
    parts.append(resampler.finish(count * RATE // probe.rate))
    return np.clip(np.concatenate(parts)[:, 0], -1, 1)
