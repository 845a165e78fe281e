"""Sound that goes in over HTTP and comes out with other voices, at once or by way of a job."""

import io
import json
import threading
import time
import wave
from collections.abc import Callable, Iterator
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

POST = "/v1/mask/audio"
LATER = {"Prefer": "respond-async"}
Sound = Callable[..., bytes]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture
def make_served(make_client: Callable[..., Any], spool: Path, tmp_path: Path) -> Callable[..., Any]:
    environ = {
        "database__url": f"sqlite:///{tmp_path}/platform.db",
        "jobs__spool_path": str(spool),
        "jobs__reserve_bytes": "0",
    }
    return lambda **more: make_client(**environ | more)


@pytest.fixture
def client(make_served: Callable[..., Any]) -> Iterator[TestClient]:
    with make_served() as served:
        yield served


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


def nan_wav(sound: Sound) -> bytes:
    """A WAV of floats one of which is no number."""
    data = bytearray(sound(codec="pcm_f32le"))
    data[-400:-396] = np.float32(np.nan).tobytes()
    return bytes(data)


def test_a_voice_comes_back_masked_in_the_same_shape(client: TestClient, sound: Sound, spool: Path) -> None:
    talk = sound(rate=22050, channels=2)
    answer = client.post(POST, content=talk, params={"style": "one-voice"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "audio/wav"
    (before, rate), (after, masked_rate) = samples_of(talk), samples_of(answer.content)
    assert (after.shape, masked_rate) == (before.shape, rate)
    assert np.abs(after.astype(float)).max() > 0
    likeness = np.corrcoef(before[:, 0].astype(float), after[:, 0].astype(float))[0, 1]
    assert abs(likeness) < 0.5, "it is another sound"
    assert left(spool) == []


def test_the_answer_says_what_was_done(client: TestClient, sound: Sound) -> None:
    answer = client.post(
        POST, content=sound(), params={"style": "disguise", "background": "keep", "consistent": "true"}
    )
    headers, report = answer.headers, json.loads(answer.headers["x-mask-report"])
    assert len(headers["x-prediction-id"]) == 32
    assert (headers["x-model-version"], report["model_version"], report["model"]) == ("1", "1", "voice-masker")
    assert (headers["x-cache"], headers["cache-control"], headers["x-needs-review"]) == ("bypass", "no-store", "false")
    assert int(headers["x-utterances-masked"]) == len(report["utterances"]) >= 1
    assert (report["style"], report["background"], report["consistent"]) == ("disguise", "keep", True)
    assert report["speech_seconds"] > 0
    assert (report["rate"], report["channels"], report["kind"]) == (16000, 1, "audio/wav")


def test_two_answers_to_the_same_sound_differ(client: TestClient, sound: Sound) -> None:
    answers = [client.post(POST, content=sound()) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["bypass", "bypass"]
    assert answers[0].content != answers[1].content


def test_a_form_is_taken_and_one_with_regions_is_not(client: TestClient, sound: Sound, spool: Path) -> None:
    assert client.post(POST, files={"file": ("talk of somebody.wav", sound())}).status_code == 200
    refused = client.post(POST, files={"file": ("a.wav", sound()), "regions": ("list", "[]")})
    assert (refused.status_code, slug(refused)) == (400, "broken-body")
    assert left(spool) == []


def test_a_body_of_unknown_length_is_taken(client: TestClient, sound: Sound) -> None:
    talk = sound()

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(talk), 10_000):
            yield talk[at : at + 10_000]

    assert client.post(POST, content=pieces()).status_code == 200


@pytest.mark.parametrize(
    ("suffix", "codec", "media_type"),
    [
        ("flac", "flac", "audio/flac"),
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("ogg", "libopus", "audio/ogg"),
        ("mp4", "aac", "audio/mp4"),
    ],
)
def test_every_kind_comes_back_as_it_is(
    client: TestClient, sound: Sound, suffix: str, codec: str, media_type: str
) -> None:
    answer = client.post(POST, content=sound(suffix, codec, rate=48000))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type), answer.text
    assert json.loads(answer.headers["x-mask-report"])["rate"] == 48000


@pytest.mark.parametrize(
    ("make", "status", "problem"),
    [
        (lambda sound: b"", 400, "empty-body"),
        (lambda sound: b"only words " * 500, 415, "unsupported-media"),
        (lambda sound: b"RIFF\x24\x00\x00\x00WAVE", 422, "damaged-media"),
        (lambda sound: sound(rate=96000), 415, "unsupported-media"),
        (lambda sound: silence(0), 400, "empty-body"),
        (lambda sound: sound("mp3", "libmp3lame", rate=48000)[:40], None, None),
    ],
    ids=["empty", "text", "no-samples", "96-khz", "zero-samples", "mp3-head"],
)
def test_what_cannot_be_masked_is_told_and_not_kept(
    client: TestClient,
    sound: Sound,
    spool: Path,
    make: Callable[[Any], bytes],
    status: int | None,
    problem: str | None,
) -> None:
    body = make(sound)
    answer = client.post(POST, content=body)
    if status is None:
        assert answer.status_code in (415, 422)
    else:
        assert (answer.status_code, slug(answer)) == (status, problem), answer.text
    assert b"words" not in answer.content
    assert left(spool) == []
    assert client.get("/v1/jobs").json() == {"jobs": []}


def test_samples_that_are_no_numbers_are_silence_and_said_to_be(client: TestClient, sound: Sound) -> None:
    answer = client.post(POST, content=nan_wav(sound))
    assert answer.status_code == 200
    samples, _ = samples_of(answer.content)
    assert np.isfinite(samples).all()
    assert "samples_that_are_no_number_silenced" in json.loads(answer.headers["x-mask-report"])["notes"]


def test_ten_hours_are_refused_by_their_header(client: TestClient, sound: Sound, spool: Path) -> None:
    # What a FLAC states of its length stands in its head, whether or not the samples follow.
    flac = bytearray(sound("flac", "flac"))
    assert flac[4] & 0x7F == 0, "the first block is STREAMINFO"
    total = 10 * 3600 * 16000
    flac[21] = (flac[21] & 0xF0) | total >> 32
    flac[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    answer = client.post(POST, content=bytes(flac))
    assert (answer.status_code, slug(answer)) == (413, "too-large")
    assert left(spool) == []


def test_silence_stays_silent(client: TestClient) -> None:
    answer = client.post(POST, content=silence(16000))
    assert answer.status_code == 200
    assert answer.headers["x-utterances-masked"] == "0"
    samples, _ = samples_of(answer.content)
    assert (len(samples), np.abs(samples).max()) == (16000, 0)


def test_a_truncated_file_is_masked_as_far_as_it_goes_and_needs_review(client: TestClient, sound: Sound) -> None:
    talk = sound("mp3", "libmp3lame", rate=48000)
    answer = client.post(POST, content=talk[: len(talk) * 2 // 3])
    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.headers["x-needs-review"] == "true"
        assert json.loads(answer.headers["x-mask-report"])["damage"]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"style": "nonsense"}, "bad-policy"),
        ({"background": "nonsense"}, "bad-policy"),
        ({"consistent": "nonsense"}, "invalid-parameter"),
        ({"sytle": "strong"}, "unknown-parameter"),
        ({"threshold": ".2"}, "unknown-parameter"),
        ({"style": ["strong", "disguise"]}, "unknown-parameter"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    client: TestClient, sound: Sound, parameters: dict[str, Any], problem: str
) -> None:
    answer = client.post(POST, content=sound(), params=parameters)
    assert (answer.status_code, slug(answer)) == (422, problem)


def test_without_a_voice_model_sound_is_refused_and_photos_are_masked(
    make_served: Callable[..., Any], sound: Sound, voices: Any, photo: bytes, spool: Path
) -> None:
    voices.version = None
    with make_served() as client:
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (503, "not-ready")
        assert "voice model" in answer.json()["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
        assert client.post("/v1/mask/image", content=photo).status_code == 200
        assert "voice_model" not in client.get("/readyz").json()
        voices.version = "3"
        while client.get("/readyz").json().get("voice_version") != "3":
            pass
        assert client.post(POST, content=sound()).headers["x-model-version"] == "3"
        shown = client.get("/metrics").text
    assert 'masker_model_info{model="voice-masker",precision="fp32",version="3"} 1.0' in shown
    assert 'masker_model_info{model="face-detector",precision="fp32",version="1"} 1.0' in shown
    assert left(spool) == []


def test_a_model_that_fails_gives_an_error_and_no_sound(
    client: TestClient, sound: Sound, voices: Any, spool: Path
) -> None:
    voices.error = RuntimeError("of the graph")
    answer = client.post(POST, content=sound())
    assert (answer.status_code, slug(answer)) == (500, "model-failed")
    assert b"of the graph" not in answer.content
    assert left(spool) == []


@pytest.mark.parametrize(
    "more", [{"limits__audio_bytes": 5000}, {"limits__audio_seconds": 1, "limits__audio_sync_seconds": 1}]
)
def test_what_is_too_large_is_refused_and_not_kept(
    make_served: Callable[..., Any], sound: Sound, spool: Path, more: dict[str, object]
) -> None:
    with make_served(**more) as client:
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (413, "too-large")
    assert left(spool) == []


def test_a_disk_without_room_is_a_507(make_served: Callable[..., Any], sound: Sound, spool: Path) -> None:
    with make_served(jobs__reserve_bytes=1 << 60) as client:
        answer = client.post(POST, content=sound())
    assert (answer.status_code, slug(answer)) == (507, "storage-full")
    assert left(spool) == []


def test_past_the_deadline_it_is_a_504_and_nothing_is_kept(
    make_served: Callable[..., Any], sound: Sound, voices: Any, spool: Path
) -> None:
    with make_served(serving__deadline_seconds=0.5, serving__queue_seconds=0.4) as client:
        voices.gate.clear()
        answer = client.post(POST, content=sound())
        assert (answer.status_code, slug(answer)) == (504, "deadline-exceeded")
        voices.gate.set()
    assert left(spool) == []


def test_photos_do_not_wait_for_sound(make_served: Callable[..., Any], sound: Sound, voices: Any, photo: bytes) -> None:
    with make_served(serving__threads=1) as client:
        voices.gate.clear()
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(client.post(POST, content=sound())))
        thread.start()
        assert voices.asked.wait(20)
        assert client.post("/v1/mask/image", content=photo).status_code == 200
        voices.gate.set()
        thread.join(30)
    assert [answer.status_code for answer in answers] == [200]


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


def test_all_is_counted(client: TestClient, sound: Sound) -> None:
    answer = client.post(POST, content=sound())
    client.post(POST, content=b"no sound", params={"style": "disguise"})
    client.post(POST, content=sound(), headers=LATER)
    shown = client.get("/metrics").text
    seconds = json.loads(answer.headers["x-mask-report"])["seconds"]
    for line in (
        'masker_sounds_total{outcome="masked",style="strong"} 1.0',
        'masker_sounds_total{outcome="rejected",style="disguise"} 1.0',
        'masker_sounds_total{outcome="queued",style="strong"} 1.0',
        f'masker_sound_seconds_total{{style="strong"}} {seconds}',
        'masker_requests_total{method="POST",route="/v1/mask/audio",status="202"} 1.0',
        "masker_held_bytes 0.0",
    ):
        assert f"\n{line}\n" in shown


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_document_keeps_its_promises(make_served: Callable[..., Any], mode: GenerationMode) -> None:
    with make_served(server__allowed_hosts="127.0.0.1,testserver") as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=schema[POST]["POST"].as_strategy(generation_mode=mode))
        def fuzz(case: Any) -> None:
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            assert response.status_code < 500

        fuzz()


def test_a_mutated_file_is_masked_or_refused(client: TestClient, sound: Sound, spool: Path) -> None:
    whole, rng = sound(), np.random.default_rng(3)
    begin = time.monotonic()
    for _ in range(25):
        body = bytearray(whole)
        for at in rng.integers(0, 60, 3):
            body[at] ^= int(rng.integers(1, 256))
        answer = client.post(POST, content=bytes(body[: int(rng.integers(30, len(body)))]))
        assert answer.status_code in (200, 202, 400, 413, 415, 422)
        if time.monotonic() - begin > 10:
            break
    for identity in left(spool):
        assert client.delete(f"/v1/jobs/{identity}").status_code == 200
