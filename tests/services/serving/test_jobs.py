"""Videos that go in and the jobs that they become; the worker's part is played by the test."""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
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


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "database__url": f"sqlite:///{tmp_path}/platform.db",
        "jobs__spool_path": str(tmp_path / "jobs"),
        "jobs__reserve_bytes": "0",
    }


@pytest.fixture
def backstage(environ: dict[str, str]) -> Iterator[Backstage]:
    opened = Backstage(environ)
    yield opened
    opened.queue.close()
    opened.store.database.close()


@pytest.fixture
def make_served(make_client: Callable[..., Any], environ: dict[str, str]) -> Callable[..., Any]:
    @contextmanager
    def make(**more: object) -> Iterator[TestClient]:
        with make_client(**environ | more) as client:
            yield client

    return make


@pytest.fixture
def client(make_served: Callable[..., Any]) -> Iterator[TestClient]:
    with make_served() as served:
        yield served


def posted(client: TestClient, **parameters: str) -> str:
    answer = client.post(POST, content=clip(), headers=MP4, params=parameters)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_video_becomes_a_job_that_waits(client: TestClient, backstage: Backstage) -> None:
    video = clip()
    answer = client.post(POST, content=video, headers=MP4, params={"style": "blur", "threshold": "0.3"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"], job["progress"], job["attempts"]) == ("mask-video", "queued", 0.0, 0)
    assert (job["error"], job["report"], job["result"], job["note"]) == (None, None, None, None)
    wished = {"style": "blur", "threshold": 0.3, "search": "fast", "tone": "drop", "selection": None}
    assert job["options"] == wished | {"doubt": "mask", "sound": "drop"}
    assert client.get(answer.headers["Location"]).json() == job
    assert backstage.spool.source(job["id"]).read_bytes() == video
    assert backstage.queue.waiting() == 1


def test_regions_go_with_the_job(client: TestClient) -> None:
    answer = client.post(POST, content=clip(), params={"keep": ["1,2,30,40", "5,6,70,80"], "mask": "0,0,9,9"})
    assert answer.status_code == 202
    regions = json.loads(answer.json()["options"]["selection"])["regions"]
    assert [region["action"] for region in regions] == ["keep", "keep", "mask"]


def test_how_voices_are_masked_goes_with_the_job(client: TestClient) -> None:
    asked = {"voice": "mask", "voice_style": "one-voice", "voice_background": "keep"}
    options = client.post(POST, content=clip(), params=asked).json()["options"]
    assert (options["sound"], options["voice"]) == (
        "mask",
        {"style": "one-voice", "background": "keep", "consistent": False},
    ), "and no key"


def test_without_a_voice_model_only_videos_whose_voices_are_to_be_masked_are_refused(
    make_served: Callable[..., Any], voices: Any, backstage: Backstage
) -> None:
    voices.version = None
    with make_served() as client:
        answer = client.post(POST, content=clip(), params={"voice": "mask"})
        assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (503, "not-ready")
        assert backstage.media() == []
        assert client.post(POST, content=clip(), params={"voice": "keep"}).status_code == 202


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_a_form_and_any_container_are_taken(client: TestClient, backstage: Backstage, container: str) -> None:
    video = clip(container)
    answer = client.post(POST, files={"file": ("holiday.bin", video)})
    assert answer.status_code == 202
    assert backstage.spool.source(answer.json()["id"]).read_bytes() == video


@pytest.mark.parametrize(
    ("body", "parameters", "status", "slug"),
    [
        (b"", {}, 400, "empty-body"),
        (b"no video" * 1000, {}, 415, "unsupported-media"),
        (None, {"style": "nonsense"}, 422, "bad-policy"),
        (None, {"style": "averages"}, 422, "bad-policy"),
        (None, {"search": "nonsense"}, 422, "bad-policy"),
        (None, {"doubt": "nonsense"}, 422, "bad-policy"),
        (None, {"voice": "nonsense"}, 422, "bad-policy"),
        (None, {"voice": "mask", "voice_style": "nonsense"}, 422, "bad-policy"),
        (None, {"voice": "keep", "voice_style": "strong"}, 422, "bad-policy"),
        (None, {"voice_consistent": "false"}, 422, "bad-policy"),
        (None, {"keep": "1,2,3"}, 422, "bad-policy"),
        (None, {"threshold": "2"}, 422, "invalid-parameter"),
        (None, {"sytle": "blur"}, 422, "unknown-parameter"),
    ],
)
def test_what_cannot_be_masked_is_told_at_once_and_not_kept(
    client: TestClient, backstage: Backstage, body: bytes | None, parameters: dict[str, str], status: int, slug: str
) -> None:
    answer = client.post(POST, content=clip() if body is None else body, params=parameters)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["type"].endswith(f":{slug}")
    assert backstage.media() == []
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_a_video_that_is_cut_is_told_at_once_and_not_kept(client: TestClient, backstage: Backstage) -> None:
    assert client.post(POST, content=clip()[:200], headers=MP4).status_code in {415, 422}
    assert backstage.media() == []


def test_what_is_too_large_is_refused_and_not_kept(make_served: Callable[..., Any], backstage: Backstage) -> None:
    with make_served(limits__video_bytes=100) as client:
        assert client.post(POST, content=clip()).status_code == 413
    with make_served(limits__video_side=32) as client:
        assert client.post(POST, content=clip()).status_code == 413
    assert backstage.media() == []


def test_a_disk_without_room_is_a_507(make_served: Callable[..., Any], backstage: Backstage) -> None:
    with make_served(jobs__reserve_bytes=1 << 60) as client:
        answer = client.post(POST, content=clip())
    assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (507, "storage-full")
    assert backstage.media() == []


def test_only_so_many_jobs_may_wait(make_served: Callable[..., Any], backstage: Backstage) -> None:
    with make_served(jobs__most_waiting=1) as client:
        identity = posted(client)
        answer = client.post(POST, content=clip())
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        backstage.finish(identity)
        posted(client)


def test_without_a_model_no_job_is_taken(make_served: Callable[..., Any], registry: Any, backstage: Backstage) -> None:
    registry.version = None
    with make_served() as client:
        assert client.post(POST, content=clip()).status_code == 503
        assert client.get("/v1/jobs").status_code == 200
    assert backstage.media() == []


@pytest.mark.parametrize("state", ["succeeded", "needs_review"])
def test_a_result_is_given_with_its_report(client: TestClient, backstage: Backstage, state: str) -> None:
    identity = posted(client)
    backstage.finish(identity, state)
    job = client.get(f"/v1/jobs/{identity}").json()
    assert (job["state"], job["progress"], job["result"]) == (state, 1.0, f"/v1/jobs/{identity}/result")
    assert job["report"]["faces"] == 1
    assert job["created"] <= job["started"] <= job["ended"] < job["expires"]
    answer = client.get(job["result"])
    assert (answer.status_code, answer.content) == (200, b"masked" * 100)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="masked-{identity}.mp4"'
    assert answer.headers["X-Job-State"] == state
    assert answer.headers["X-Model-Version"] == "7"
    assert '"truncated":true' in answer.headers["X-Mask-Report"]
    assert client.get(f"/v1/jobs/{identity}/report").json() == job["report"]


def test_parts_of_a_result_are_given(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    backstage.finish(identity, data=b"0123456789")
    answer = client.get(f"/v1/jobs/{identity}/result", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"234")
    assert client.get(f"/v1/jobs/{identity}/result", headers={"Range": "bytes=50-"}).status_code == 416


def test_a_job_tells_how_far_it_is(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    claim = backstage.claim(identity)
    backstage.store.beat(claim, 0.4)
    job = client.get(f"/v1/jobs/{identity}").json()
    assert (job["state"], job["progress"], job["attempts"]) == ("running", 0.4, 1)
    backstage.store.release(claim)
    backstage.claim(identity)
    again = client.get(f"/v1/jobs/{identity}").json()
    assert (again["attempts"], again["progress"]) == (2, 0.0)
    assert "started again" in again["note"]


@pytest.mark.parametrize("what", ["result", "report"])
def test_what_is_not_there_is_told_apart(client: TestClient, backstage: Backstage, what: str) -> None:
    identity = posted(client)
    waiting = client.get(f"/v1/jobs/{identity}/{what}")
    assert (waiting.status_code, waiting.json()["type"].split(":")[-1]) == (409, "job-not-done")
    assert int(waiting.headers["Retry-After"]) > 0
    backstage.fail(identity)
    failed = client.get(f"/v1/jobs/{identity}/{what}")
    assert (failed.status_code, failed.json()["type"].split(":")[-1]) == (409, "job-without-result")
    assert "Retry-After" not in failed.headers
    error = client.get(f"/v1/jobs/{identity}").json()["error"]
    assert error == {"type": "about:blank", "title": "It broke", "detail": "in the middle"}


@pytest.mark.parametrize(("method", "end"), ENDS)
def test_an_unknown_job_is_a_404(client: TestClient, method: str, end: str) -> None:
    answer = client.request(method, f"/v1/jobs/{UNKNOWN}{end}")
    assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (404, "unknown-job")


@pytest.mark.parametrize("name", ["..", "x", "%2e%2e%2fqueue.db", "0" * 31, UNKNOWN.replace("0", "G")])
def test_what_is_no_name_reaches_no_file(client: TestClient, name: str) -> None:
    assert client.get(f"/v1/jobs/{name}/result").status_code in {404, 422}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_cancelled_job_leaves_no_media(client: TestClient, backstage: Backstage, state: str) -> None:
    identity = posted(client)
    claim = backstage.claim(identity) if state == "running" else None
    answer = client.delete(f"/v1/jobs/{identity}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert backstage.media() == []
    assert client.get(f"/v1/jobs/{identity}/result").status_code == 409
    assert claim is None or not backstage.store.beat(claim, 0.5)
    assert client.delete(f"/v1/jobs/{identity}").json()["state"] == "cancelled", "once more is no error"


def test_a_deleted_result_is_gone(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    backstage.finish(identity)
    assert client.delete(f"/v1/jobs/{identity}").json()["state"] == "succeeded"
    assert backstage.media() == []
    answer = client.get(f"/v1/jobs/{identity}/result")
    assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (410, "result-gone")
    assert client.get(f"/v1/jobs/{identity}/report").status_code == 200


def test_jobs_are_listed_newest_first_without_reports(client: TestClient, backstage: Backstage) -> None:
    names = []
    for _ in range(3):
        names.append(posted(client))
        time.sleep(0.01)
    backstage.finish(names[0])
    jobs = client.get("/v1/jobs").json()["jobs"]
    assert [job["id"] for job in jobs] == names[::-1]
    assert jobs[-1]["state"] == "succeeded"
    assert all(job["report"] is None for job in jobs)


def test_without_its_table_jobs_are_away_and_photos_are_not(
    make_served: Callable[..., Any], photo: bytes, tmp_path: Path, backstage: Backstage
) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    with make_served(database__url=f"sqlite:///{tmp_path}/file/platform.db") as client:
        for answer in (client.get("/v1/jobs"), client.post(POST, content=clip())):
            assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (503, "jobs-away")
            assert int(answer.headers["Retry-After"]) > 0
        assert client.post("/v1/mask/image", content=photo).status_code == 200
    assert backstage.media() == []


def test_a_job_is_taken_while_the_queue_is_away(
    make_served: Callable[..., Any], backstage: Backstage, closed_port: int
) -> None:
    with make_served(jobs__queue_url=f"redis://127.0.0.1:{closed_port}/1") as client:
        identity = posted(client)
    assert backstage.store.waiting() == [identity]


PATHS = (("POST", POST), *((method, f"/v1/jobs/{{identity}}{end}") for method, end in ENDS))


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *((*each, mode) for each in PATHS for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)),
        ("GET", "/v1/jobs", GenerationMode.POSITIVE),
    ],
)
def test_the_document_keeps_its_promises(
    make_served: Callable[..., Any], method: str, path: str, mode: GenerationMode
) -> None:
    with make_served(server__allowed_hosts="127.0.0.1,testserver") as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=schema[path][method].as_strategy(generation_mode=mode))
        def fuzz(case: Any) -> None:
            # Bytes that are no video and names of no job fit the document, and are refused all the same.
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            assert response.status_code < 500

        fuzz()


def test_other_sites_pages_cannot_post_or_cancel(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    foreign = {"Origin": "https://elsewhere.example"}
    assert client.post(POST, content=clip(), headers=foreign).status_code == 403
    assert client.delete(f"/v1/jobs/{identity}", headers=foreign).status_code == 403
    assert backstage.media() == [identity]
