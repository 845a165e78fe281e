"""Sound that goes in over HTTP and comes out at once with other voices."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.patience import PATIENCE_SECONDS
from tests.services.serving.audio.sounds import LATER, POST, Sound, left, samples_of, silence, slug


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


def test_samples_that_are_no_numbers_are_silence_and_said_to_be(client: TestClient, sound: Sound) -> None:
    answer = client.post(POST, content=nan_wav(sound))
    assert answer.status_code == 200
    samples, _ = samples_of(answer.content)
    assert np.isfinite(samples).all()
    assert "samples_that_are_no_number_silenced" in json.loads(answer.headers["x-mask-report"])["notes"]


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


def test_photos_do_not_wait_for_sound(make_served: Callable[..., Any], sound: Sound, voices: Any, photo: bytes) -> None:
    with make_served(serving__threads=1) as client:
        voices.gate.clear()
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(client.post(POST, content=sound())))
        thread.start()
        assert voices.asked.wait(PATIENCE_SECONDS)
        assert client.post("/v1/mask/image", content=photo).status_code == 200
        voices.gate.set()
        thread.join(PATIENCE_SECONDS)
    assert [answer.status_code for answer in answers] == [200]


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
