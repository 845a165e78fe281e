"""What the tests of sound over HTTP send, and how they read what comes back."""

import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

POST = "/v1/mask/audio"
LATER = {"Prefer": "respond-async"}
Sound = Callable[..., bytes]


def left(spool: Path) -> list[str]:
    return sorted(path.name for path in spool.iterdir() if path.is_dir()) if spool.exists() else []


def slug(answer: Any) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["type"].split(":")[-1])


def samples_of(data: bytes) -> tuple[np.ndarray, int]:
    """All samples of a sound file (n, channels) as they are decoded, and their rate."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        rows = [
            frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            if not frame.format.is_planar
            else frame.to_ndarray().T
            for frame in container.decode(stream)
        ]
        return np.concatenate(rows), stream.rate


def silence(samples: int) -> bytes:
    """A WAV of so many samples of nothing."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 16000, 0, "NONE", ""))
        written.writeframes(bytes(2 * samples))
    return file.getvalue()
