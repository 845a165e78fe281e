"""Jobs as they are shown, listed, cancelled and deleted, and their results."""

import time

import pytest
from starlette.testclient import TestClient

from tests.services.serving.jobs.backstage import ENDS, UNKNOWN, Backstage, posted


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
    both = client.get(f"/v1/jobs/{identity}/result", headers={"Range": "bytes=0-1,8-"})
    assert (both.status_code, both.content.count(b"Content-Range: bytes")) == (206, 2)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("asked", "status", "slug", "said"),
    [
        ("bytes=abc", 400, "bad-range", "bytes=FIRST-LAST"),
        ("lines=1-2", 400, "bad-range", "bytes=FIRST-LAST"),
        ("bytes=99999999999-", 416, "no-such-part", "has 10 bytes"),
    ],
)
def test_a_range_that_is_none_is_a_problem(
    client: TestClient, backstage: Backstage, method: str, asked: str, status: int, slug: str, said: str
) -> None:
    identity = posted(client)
    backstage.finish(identity, data=b"0123456789")
    answer = client.request(method, f"/v1/jobs/{identity}/result", headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers.get("Content-Range") == ("bytes */10" if status == 416 else None)
    if method == "GET":
        problem = answer.json()
        assert (problem["type"].split(":")[-1], said in problem["detail"]) == (slug, True)
        assert problem["request_id"] == answer.headers["X-Request-Id"]


def test_the_length_of_a_result_can_be_asked_for_alone(client: TestClient, backstage: Backstage) -> None:
    identity = posted(client)
    backstage.finish(identity)
    whole = client.get(f"/v1/jobs/{identity}/result")
    answer = client.head(f"/v1/jobs/{identity}/result")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "600")
    assert answer.headers["ETag"] == whole.headers["ETag"]
    assert client.head(f"/v1/jobs/{UNKNOWN}/result").status_code == 404


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


@pytest.mark.parametrize(
    "name", ["..", "x", "%2e%2e%2fqueue.db", "0" * 31, UNKNOWN + "%0a", "%00", UNKNOWN.replace("0", "G")]
)
@pytest.mark.parametrize(("method", "end"), ENDS)
def test_what_is_no_name_reaches_no_file_and_is_a_404(client: TestClient, name: str, method: str, end: str) -> None:
    assert client.request(method, f"/v1/jobs/{name}{end}").status_code == 404


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
