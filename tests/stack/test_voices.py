"""Voices go in at the proxy and come out masked: at once, by way of a job, live, and inside a video."""

import io
import json
import os
import wave
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx2
import numpy as np
import pytest
from websockets.sync.client import connect

from masking.voice.procedural import Speaker, lexicon, speak

pytestmark = pytest.mark.stack
RATE = 16000
CHUNK = 640


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """Some seconds of somebody who does not exist, float32 at 16 kHz."""
    rng = np.random.default_rng(11)
    return speak(Speaker.draw(rng), lexicon(8, rng), rng).samples


@pytest.fixture(scope="module")
def make_talk(samples: np.ndarray) -> Callable[[float], bytes]:
    """Give a WAV of so many seconds."""

    def make(seconds: float) -> bytes:
        file = io.BytesIO()
        with wave.open(file, "wb") as written:
            written.setparams((1, 2, RATE, 0, "NONE", ""))
            written.writeframes((np.resize(samples, int(seconds * RATE)) * 32767).astype("<i2").tobytes())
        return file.getvalue()

    return make


@pytest.fixture(scope="module", autouse=True)
def voice_model(proxy: httpx2.Client, until: Callable[..., Any]) -> str:
    """Wait until every replica has a model of voices, and give its version."""

    def served() -> str | None:
        told = [proxy.get("/readyz").json().get("voice_version") for _ in range(8)]
        return told[0] if len(set(told)) == 1 else None

    return str(until(served))


@pytest.fixture
def ended(proxy: httpx2.Client, until: Callable[..., Any]) -> Iterator[Callable[[httpx2.Response], dict[str, Any]]]:
    """Give the job of an answer once it has ended; all are deleted afterwards."""
    paths: list[str] = []

    def wait(answer: httpx2.Response) -> dict[str, Any]:
        assert answer.status_code == 202, answer.text
        paths.append(answer.headers["Location"])

        def asked() -> dict[str, Any] | None:
            job = proxy.get(paths[-1]).json()
            return None if job["state"] in {"queued", "running"} else job

        return dict(until(asked))

    yield wait
    for path in paths:
        proxy.delete(path)


def pcm_of(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


def test_a_short_talk_is_masked_at_once(
    proxy: httpx2.Client, make_talk: Callable[[float], bytes], voice_model: str
) -> None:
    talk = make_talk(5)
    answer = proxy.post("/v1/mask/audio", content=talk, params={"style": "strong"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/wav"), answer.text
    assert answer.headers["X-Model-Version"] == voice_model
    assert int(answer.headers["X-Utterances-Masked"]) >= 1
    before, after = pcm_of(talk), pcm_of(answer.content)
    assert len(after) == len(before)
    assert np.abs(after).max() > 0
    assert abs(np.corrcoef(before, after)[0, 1]) < 0.5


def test_a_long_talk_and_one_that_is_wanted_later_become_jobs(
    proxy: httpx2.Client, make_talk: Callable[[float], bytes], ended: Callable[..., dict[str, Any]]
) -> None:
    later = proxy.post("/v1/mask/audio", content=make_talk(3), headers={"Prefer": "respond-async"})
    assert later.headers["Preference-Applied"] == "respond-async"
    for answer, seconds in ((later, 3), (proxy.post("/v1/mask/audio", content=make_talk(75)), 75)):
        job = ended(answer)
        assert (job["state"], job["kind"], job["error"]) == ("succeeded", "mask-audio", None), job
        result = proxy.get(f"/v1/jobs/{job['id']}/result")
        assert result.headers["Content-Type"] == "audio/wav"
        assert len(pcm_of(result.content)) == seconds * RATE


def test_the_voices_of_a_video_are_masked(
    proxy: httpx2.Client, make_talk: Callable[[float], bytes], ended: Callable[..., dict[str, Any]]
) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for index in range(50):
            pixels = np.full((120, 160, 3), index, np.uint8)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(pictures.encode())
        frame = av.AudioFrame.from_ndarray(pcm_of(make_talk(2)).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    job = ended(proxy.post("/v1/mask/video", content=file.getvalue(), params={"voice": "mask"}))
    assert job["state"] == "succeeded", job
    assert job["report"]["voice"]["speech_seconds"] > 0
    result = proxy.get(f"/v1/jobs/{job['id']}/result").content
    with av.open(io.BytesIO(result)) as container:
        assert len(container.streams.audio) == 1


def test_live_sound_comes_through_the_proxy(make_talk: Callable[[float], bytes]) -> None:
    port = os.environ.get("STACK_PROXY_PORT", "8080")
    pcm = pcm_of(make_talk(4)).astype("<i2")
    masked, faults = [], []
    address = f"ws://127.0.0.1:{port}/v1/live/audio?style=strong&rate={RATE}"
    with connect(address, open_timeout=120) as socket:
        for at in range(0, len(pcm) - CHUNK, CHUNK):
            socket.send(pcm[at : at + CHUNK].tobytes())
            told = json.loads(socket.recv())
            masked.append(np.frombuffer(socket.recv(), "<i2"))
            assert len(masked[-1]) == CHUNK
            faults.append(told["fault"])
    # A machine that stands still for two seconds is late with a chunk; all others are masked.
    assert all(not fault or "too long" in fault for fault in faults), faults
    assert faults.count("") > 0.9 * len(faults)
    assert np.abs(np.concatenate(masked)).max() > 0


def test_styles_are_told(proxy: httpx2.Client) -> None:
    told = proxy.get("/v1/styles").json()
    assert {style["name"] for style in told["voices"]} == {"disguise", "one-voice", "strong"}
    assert all(style["available"] for style in told["voices"])


def test_what_is_no_sound_is_refused_with_a_problem(proxy: httpx2.Client) -> None:
    answer = proxy.post("/v1/mask/audio", content=b"only words", headers={"Content-Type": "audio/wav"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (415, "application/problem+json")


def test_a_large_upload_of_sound_passes_the_proxy(proxy: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(96):
            yield bytes(1 << 20)

    assert proxy.post("/v1/mask/audio", content=chunks()).status_code == 415
