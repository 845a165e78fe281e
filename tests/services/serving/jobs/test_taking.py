"""Videos that go in and the jobs that they become, or why not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.services.serving.jobs.backstage import MP4, POST, Backstage, clip, posted


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


def test_copying_goes_with_the_job_where_it_is_asked_for(client: TestClient) -> None:
    asked = client.post(POST, content=clip(), params={"untouched": "copy"}).json()["options"]
    assert asked["untouched"] == "copy"
    assert "untouched" not in client.post(POST, content=clip()).json()["options"]


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
        (None, {"untouched": "keep"}, 422, "bad-policy"),
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


def test_other_sites_pages_cannot_post_or_cancel(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    foreign = {"Origin": "https://elsewhere.example"}
    assert client.post(POST, content=clip(), headers=foreign).status_code == 403
    assert client.delete(f"/v1/jobs/{identity}", headers=foreign).status_code == 403
    assert backstage.media() == [identity]
