"""A video goes in at the proxy and comes out masked, whichever replica took it and whatever becomes of the worker."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx2
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.stack
RATE = 25


@pytest.fixture
def make_video(photo: bytes) -> Callable[[int], bytes]:
    """Give an MP4 of so many frames in which a photo of one face drifts."""
    face = np.array(Image.open(io.BytesIO(photo)).convert("RGB").resize((256, 300)))

    def make(frames: int) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
            for index in range(frames):
                pixels = np.full((360, 480, 3), 60, np.uint8)
                left = 20 + index % 200
                pixels[30:330, left : left + 256] = face
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        return file.getvalue()

    return make


@pytest.fixture
def posted(proxy: httpx2.Client) -> Iterator[Callable[..., dict[str, Any]]]:
    """Post a video and give its job; all are deleted afterwards."""
    paths: list[str] = []

    def post(video: bytes, **parameters: str) -> dict[str, Any]:
        answer = proxy.post("/v1/mask/video", content=video, params=parameters)
        assert answer.status_code == 202, answer.text
        paths.append(answer.headers["Location"])
        assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
        return dict(answer.json())

    yield post
    for path in paths:
        proxy.delete(path)


def ended(proxy: httpx2.Client, until: Callable[..., Any], identity: str) -> dict[str, Any]:
    def asked() -> dict[str, Any] | None:
        answer = proxy.get(f"/v1/jobs/{identity}")
        # Neither a replica nor the database may be there for a moment while a part is lost.
        job = answer.json() if answer.status_code == 200 else {"state": "queued"}
        return None if job["state"] in {"queued", "running"} else job

    return dict(until(asked))


def frames_of(video: bytes) -> int:
    with av.open(io.BytesIO(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_video_is_masked_by_way_of_a_job(
    proxy: httpx2.Client, until: Callable[..., Any], posted: Callable[..., Any], make_video: Callable[[int], bytes]
) -> None:
    job = ended(proxy, until, posted(make_video(50), style="blur")["id"])
    assert job["state"] in {"succeeded", "needs_review"}, job
    assert (job["progress"], job["attempts"], job["error"]) == (1.0, 1, None)
    answers = [proxy.get(f"/v1/jobs/{job['id']}/result") for _ in range(4)]
    assert {answer.status_code for answer in answers} == {200}, "whichever replica is asked"
    assert answers[0].headers["Content-Type"] == "video/mp4"
    assert frames_of(answers[0].content) == 50
    assert proxy.get(f"/v1/jobs/{job['id']}/report").json()["faces"] >= 1


def test_a_large_upload_passes_the_proxy_and_is_judged_behind_it(proxy: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(96):
            yield bytes(1 << 20)

    answer = proxy.post("/v1/mask/video", content=chunks())
    assert answer.status_code == 415
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_killed_worker_costs_a_job_time_and_nothing_else(
    proxy: httpx2.Client,
    until: Callable[..., Any],
    posted: Callable[..., Any],
    make_video: Callable[[int], bytes],
    compose: Callable[..., str],
) -> None:
    identity = posted(make_video(1500))["id"]
    until(lambda: proxy.get(f"/v1/jobs/{identity}").json()["state"] == "running")
    compose("kill", "--signal", "KILL", "worker")
    try:
        assert proxy.get(f"/v1/jobs/{identity}").json()["state"] == "running"
    finally:
        compose("up", "--detach", "--wait", "worker")
    job = ended(proxy, until, identity)
    assert job["state"] in {"succeeded", "needs_review"}, job
    assert job["attempts"] == 2
    assert "started again" in job["note"]
    assert frames_of(proxy.get(f"/v1/jobs/{identity}/result").content) == 1500


def test_a_job_outlives_a_redis_that_forgets_it(
    proxy: httpx2.Client,
    until: Callable[..., Any],
    posted: Callable[..., Any],
    make_video: Callable[[int], bytes],
    compose: Callable[..., str],
) -> None:
    compose("stop", "--timeout", "5", "redis")
    try:
        identity = posted(make_video(25))["id"]
    finally:
        compose("up", "--detach", "--wait", "redis")
    assert ended(proxy, until, identity)["state"] in {"succeeded", "needs_review"}


def test_a_cancelled_job_leaves_no_media(
    proxy: httpx2.Client,
    until: Callable[..., Any],
    posted: Callable[..., Any],
    make_video: Callable[[int], bytes],
    compose: Callable[..., str],
) -> None:
    identity = posted(make_video(1500))["id"]
    assert proxy.delete(f"/v1/jobs/{identity}").json()["state"] == "cancelled"
    assert proxy.get(f"/v1/jobs/{identity}/result").status_code == 409
    until(lambda: identity not in compose("exec", "-T", "worker", "ls", "/var/lib/masker/spool").split())
