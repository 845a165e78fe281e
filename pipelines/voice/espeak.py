"""More speakers to learn from where espeak-ng is installed: its variants, at other pitches and speeds."""

import io
import shutil
import subprocess
import wave
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.random import Generator

from masking.voice.resample import Resampler
from masking.voice.types import RATE, Mono
from pipelines.voice.dataset import Utterance

COMMAND: Final = "espeak-ng"
VARIANTS: Final = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
TIMEOUT_SECONDS: Final = 20
TEXTS: Final = (
    "the quick brown fox jumps over the lazy dog",
    "a large size in stockings is hard to sell",
    "the boy was there when the sun rose",
    "she had your dark suit in greasy wash water all year",
    "glue the sheet to the dark blue background",
)


def is_installed() -> bool:
    """Say whether this machine has espeak-ng."""
    return shutil.which(COMMAND) is not None


def espeak_speakers(rng: Generator) -> Iterator[Utterance]:
    """Give what each variant says of a few phrases, for training alone; a variant that cannot be had gives nothing."""
    for variant in VARIANTS:
        pitch, speed = int(rng.integers(20, 80)), int(rng.integers(130, 200))
        for index, text in enumerate(TEXTS):
            samples = _said(variant, pitch, speed, text)
            if samples is not None:
                name = f"espeak-{variant}"
                yield Utterance(f"{name}-{index}", name, "train", samples, "espeak", sex=variant[0])


def _said(variant: str, pitch: int, speed: int, text: str) -> Mono | None:
    command = [COMMAND, "-v", f"en+{variant}", "-p", str(pitch), "-s", str(speed), "--stdout", text]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_SECONDS)
        with wave.open(io.BytesIO(done.stdout)) as file:
            rate = file.getframerate()
            # The header of a piped file states no true length.
            samples = np.frombuffer(done.stdout[44:], "<i2")[:, None].astype(np.float32) / np.float32(32768)
    except (OSError, subprocess.SubprocessError, wave.Error, EOFError, ValueError):
        return None
    resampler = Resampler(rate, RATE, 1)
    whole = np.concatenate([resampler.feed(samples), resampler.finish(len(samples) * RATE // rate)])[:, 0]
    return np.clip(whole, -1, 1) if len(whole) >= RATE else None
