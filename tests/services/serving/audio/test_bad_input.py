"""Sound as nobody should send it: each kind gets a clear answer, over HTTP as its sender sees it."""

import io
import json
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.services.serving.audio.sounds import POST, Sound, left

Make = Callable[[np.ndarray, Sound], bytes]


def wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    """A WAV of 16 bits, of samples (n,) or (n, channels) that may be too loud."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def float_wav(samples: np.ndarray, rate: int = 16_000) -> bytes:
    """A WAV of 32-bit floats, as they are."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, rate, 4 * rate, 4, 32)
    return (
        b"RIFF"
        + struct.pack("<I", 4 + len(form) + 8 + len(data))
        + b"WAVE"
        + form
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )


def aiff(samples: np.ndarray, kind: bytes = b"AIFF") -> bytes:
    """An AIFF of 16 bits at 16 kHz, or an AIFF-C without compression."""
    common = struct.pack(">hIh", 1, len(samples), 16) + b"\x40\x0c\xfa" + bytes(7)
    common += b"NONE\x00\x00" if kind == b"AIFC" else b""
    sound = bytes(8) + np.rint(samples * 32767).astype(">i2").tobytes()
    parts = b"COMM" + struct.pack(">I", len(common)) + common + b"SSND" + struct.pack(">I", len(sound)) + sound
    return b"FORM" + struct.pack(">I", 4 + len(parts)) + kind + parts


def ten_hours(sound: Sound) -> bytes:
    """A FLAC that says so of itself in its head."""
    flac = bytearray(sound("flac", "flac"))
    total = 10 * 3600 * 16_000
    flac[21] = (flac[21] & 0xF0) | total >> 32
    flac[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(flac)


def with_holes(talk: np.ndarray) -> np.ndarray:
    """The talk with numbers in it that are none."""
    holed = talk.astype(np.float32)
    holed[1000:1010], holed[2000] = np.nan, np.inf
    return holed


def refused(status: int, problem: str, says: str) -> tuple[int, str, str]:
    return status, problem, says


REFUSED: dict[str, tuple[Make, tuple[int, str, str]]] = {
    "a text named .wav": (
        lambda talk, sound: b"These are words, whatever the name says. " * 100,
        refused(415, "unsupported-media", "only WAV"),
    ),
    "AIFF": (lambda talk, sound: aiff(talk), refused(415, "unsupported-media", "only WAV")),
    "AIFF-C": (lambda talk, sound: aiff(talk, b"AIFC"), refused(415, "unsupported-media", "only WAV")),
    "96 kHz": (lambda talk, sound: wav(np.repeat(talk, 6), 96_000), refused(415, "unsupported-media", "96000 Hz")),
    "9 channels": (
        lambda talk, sound: wav(np.tile(talk[:, None], 9)),
        refused(415, "unsupported-media", "9 channels"),
    ),
    "10 hours": (lambda talk, sound: ten_hours(sound), refused(413, "too-large", "second")),
    "no samples": (lambda talk, sound: wav(talk[:0]), refused(400, "empty-body", "no samples")),
    "nothing": (lambda talk, sound: b"", refused(400, "empty-body", "no bytes|empty")),
}
MASKED: dict[str, Make] = {
    "silence": lambda talk, sound: wav(0 * talk),
    "one sample": lambda talk, sound: wav(talk[:1]),
    "clipped": lambda talk, sound: wav(50 * talk),
    "far too loud, in floats": lambda talk, sound: float_wav(50 * talk),
    "a shifted middle": lambda talk, sound: wav(0.4 * talk + 0.5),
    "nothing but a shift": lambda talk, sound: wav(0 * talk + 0.7),
    "6 channels": lambda talk, sound: wav(np.stack([talk, *[0.1 * np.roll(talk, k) for k in range(5)]], axis=1)),
    "no numbers in it": lambda talk, sound: float_wav(with_holes(talk)),
}


def decoded(data: bytes) -> tuple[np.ndarray, int]:
    """Samples (n, channels) in [-1, 1] and their rate, as any program reads them."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", stream.layout, stream.rate)
        frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray().T for frame in frames]), stream.rate


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_masked_is_refused_in_words(
    name: str, client: TestClient, talk: np.ndarray, sound: Sound, spool: Path
) -> None:
    make, (status, problem, says) = REFUSED[name]
    body = make(talk, sound)
    answer = client.post(POST, files={"file": ("talk.wav", body, "audio/wav")} if body else None, content=None)
    told = answer.json()
    assert (answer.status_code, told["type"].split(":")[-1]) == (status, problem), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(word in told["detail"] for word in says.split("|")), told["detail"]
    assert left(spool) == []


@pytest.mark.parametrize("name", MASKED)
def test_what_is_odd_comes_back_whole_and_is_not_the_input(
    name: str, client: TestClient, talk: np.ndarray, sound: Sound
) -> None:
    body = MASKED[name](talk, sound)
    answer = client.post(POST, content=body)
    assert answer.status_code == 200, answer.text
    before, rate = decoded(body)
    after, same_rate = decoded(answer.content)
    assert (after.shape, same_rate) == (before.shape, rate)
    assert np.isfinite(after).all()
    assert np.abs(after).max() <= 1
    report = json.loads(answer.headers["x-mask-report"])
    assert ("samples_that_are_no_number_silenced" in report["notes"]) == (name == "no numbers in it")
    if name in ("silence", "one sample", "nothing but a shift"):
        assert not after.any(), "nobody speaks, and what is not speech is dropped"
    else:
        assert after.any()
        whole = np.nan_to_num(before, nan=0, posinf=0, neginf=0)
        likeness = [np.corrcoef(whole[:, each], after[:, each])[0, 1] for each in range(after.shape[1])]
        assert max(np.abs(likeness)) < 0.5


@pytest.mark.parametrize("share", [0.34, 0.5, 0.93])
def test_an_mp3_that_breaks_off_is_masked_as_far_as_it_goes(share: float, client: TestClient, sound: Sound) -> None:
    whole = sound("mp3", "libmp3lame", rate=48_000)
    cut = whole[: round(share * len(whole))]
    answer = client.post(POST, content=cut)
    assert answer.status_code == 200, answer.text
    report = json.loads(answer.headers["x-mask-report"])
    assert (answer.headers["x-needs-review"], bool(report["damage"])) == ("true", True)
    length = len(decoded(whole)[0])
    assert len(decoded(answer.content)[0]) == pytest.approx(share * length, abs=0.08 * length)
