"""Videos that become jobs, and the worker's side of them."""

import io

import av
import numpy as np
from starlette.testclient import TestClient

from mlops.database import Database
from mlops.jobs.queue import JobQueue
from mlops.jobs.spool import Spool
from mlops.jobs.store import JobStore
from mlops.jobs.table import TABLES, Claim, Ending
from mlops.settings import load_settings

POST = "/v1/mask/video"
MP4 = {"Content-Type": "video/mp4"}
UNKNOWN = "0" * 32
ENDS = (("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/report"))


def clip(name: str = "mp4", frames: int = 3) -> bytes:
    """A small H.264 video."""
    file = io.BytesIO()
    with av.open(file, "w", format=name) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            pixels = np.full((48, 64, 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


class Backstage:
    """What a worker sees of the same table, queue and spool."""

    def __init__(self, environ: dict[str, str]) -> None:
        read = load_settings(environ={f"MASKER_{name.upper()}": value for name, value in environ.items()})
        self.store = JobStore(Database(read.database, TABLES), read.jobs.result_seconds)
        self.queue = JobQueue(read.jobs)
        self.spool = Spool(read.jobs.spool_path, 0)

    def claim(self, identity: str) -> Claim:
        claim = self.store.claim(identity)
        assert claim is not None
        return claim

    def finish(self, identity: str, state: str = "succeeded", data: bytes = b"masked" * 100) -> None:
        (self.spool.folder(identity) / "result-1").write_bytes(data)
        report = {"faces": 1, "model_version": "7", "scores": [0.9] * 5000}
        self.store.finish(self.claim(identity), Ending(state, report, "result-1", "video/mp4"))

    def fail(self, identity: str) -> None:
        error = {"type": "about:blank", "title": "It broke", "detail": "in the middle"}
        self.store.finish(self.claim(identity), Ending("failed", error=error))

    def media(self) -> list[str]:
        return sorted(self.spool.identities())


def posted(client: TestClient, **parameters: str) -> str:
    answer = client.post(POST, content=clip(), headers=MP4, params=parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])
