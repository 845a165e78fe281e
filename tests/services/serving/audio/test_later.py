"""Sound that becomes a job: wished for later, too long, or too dear to be answered at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.services.serving.audio.sounds import LATER, POST, Sound, left, silence, slug


def test_what_is_wished_for_later_becomes_a_job(client: TestClient, sound: Sound, spool: Path) -> None:
    talk = sound()
    wished = {"style": "one-voice", "background": "keep", "consistent": "true"}
    answer = client.post(POST, content=talk, params=wished, headers={"Prefer": "wait=9, Respond-Async"})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert (job["kind"], job["state"]) == ("mask-audio", "queued")
    assert job["options"] == {"style": "one-voice", "background": "keep", "consistent": True}, "and no key"
    assert client.get(answer.headers["Location"]).json() == job
    assert (spool / job["id"] / "input").read_bytes() == talk
    assert client.delete(answer.headers["Location"]).json()["state"] == "cancelled"
    assert left(spool) == []


def test_what_is_long_becomes_a_job_and_a_header_that_lies_does_not_help(
    make_served: Callable[..., Any], sound: Sound, spool: Path
) -> None:
    with make_served(limits__audio_sync_seconds=1) as client:
        answer = client.post(POST, content=sound())
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers
        # An MP3 without the frame that states how long it is: its length is a guess by its bit rate.
        assert client.post(POST, content=sound("mp3", "libmp3lame", rate=48000)).status_code == 202
        assert len(left(spool)) == 2


def test_what_would_take_longer_than_the_deadline_becomes_a_job(make_served: Callable[..., Any], sound: Sound) -> None:
    # A second of one channel is first taken to cost a tenth of one, and two channels of the talk are some five.
    with make_served(serving__deadline_seconds=0.3, serving__queue_seconds=0.2) as client:
        assert client.post(POST, content=sound(channels=2)).status_code == 202


def test_what_a_very_short_sound_costs_is_not_taken_for_the_cost_of_all(client: TestClient, sound: Sound) -> None:
    assert [client.post(POST, content=silence(1)).status_code for _ in range(20)] == [200] * 20
    assert client.post(POST, content=sound()).status_code == 200


def test_only_so_many_jobs_may_wait(make_served: Callable[..., Any], sound: Sound, spool: Path) -> None:
    with make_served(jobs__most_waiting=1) as client:
        assert client.post(POST, content=sound(), headers=LATER).status_code == 202
        answer = client.post(POST, content=sound(), headers=LATER)
        assert (answer.status_code, slug(answer)) == (503, "busy")
        assert client.post(POST, content=sound()).status_code == 200, "what is answered at once waits for nobody"
    assert len(left(spool)) == 1


def test_without_the_table_of_jobs_short_sound_is_masked_and_long_is_refused(
    make_served: Callable[..., Any], sound: Sound, tmp_path: Path, spool: Path
) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    with make_served(database__url=f"sqlite:///{tmp_path}/file/platform.db") as client:
        assert client.post(POST, content=sound()).status_code == 200
        answer = client.post(POST, content=sound(), headers=LATER)
        assert (answer.status_code, slug(answer)) == (503, "jobs-away")
    assert left(spool) == []
