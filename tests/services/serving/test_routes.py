import io
import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from masking.selection import Listed, Selection

MASK, DETECT = "/v1/mask/image", "/v1/detect/image"


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    ("suffix", "media_type"), [(".jpg", "image/jpeg"), (".png", "image/png"), (".webp", "image/webp")]
)
def test_an_image_comes_back_masked_in_its_own_format(
    client: TestClient, picture: Callable[..., bytes], suffix: str, media_type: str
) -> None:
    # What the header says does not matter; the bytes do.
    answer = client.post(MASK, content=picture(suffix), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert Image.open(io.BytesIO(answer.content)).format == media_type.removeprefix("image/").upper()
    masked = pixels(answer.content)
    assert masked.shape == (240, 320, 3)
    assert masked.max() < 200, "no bright face is left"


def test_the_answer_says_what_was_done(client: TestClient, photo: bytes) -> None:
    answer = client.post(MASK, content=photo, params={"threshold": 0.5, "style": "pixelate"})
    headers = answer.headers
    assert len(headers["x-prediction-id"]) == 32
    assert headers["x-model-version"] == "1"
    assert headers["x-faces-masked"] == "1", "the second spot scores .3"
    assert headers["x-cache"] == "miss"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    report = json.loads(headers["x-mask-report"])
    assert (report["faces"], report["style"], report["threshold"]) == (1, "pixelate", 0.5)


def test_a_form_gives_the_same_as_the_raw_body(client: TestClient, photo: bytes) -> None:
    raw = client.post(MASK, content=photo)
    form = client.post(MASK, files={"file": ("a name of somebody.jpg", photo, "image/jpeg")})
    assert form.status_code == 200
    assert form.content == raw.content


def test_detect_finds_what_mask_covers(client: TestClient, photo: bytes) -> None:
    answer = client.post(DETECT, content=photo)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == "1"
    assert len(answer.headers["x-prediction-id"]) == 32
    found = answer.json()
    assert found["image"] == {"width": 320, "height": 240}
    assert found["model_version"] == "1"
    surer, lesser = (face["score"] for face in found["faces"])
    assert surer > 0.8 > 0.4 > lesser > 0.2
    assert np.allclose(found["faces"][0]["box"], [36, 88, 85, 153], atol=3)
    assert np.shape(found["faces"][0]["landmarks"]) == (5, 2)
    masked = client.post(MASK, content=photo)
    assert masked.headers["x-faces-masked"] == str(len(found["faces"]))


def test_a_region_to_keep_stays_and_one_to_mask_is_masked(client: TestClient, photo: bytes) -> None:
    box = client.post(DETECT, content=photo).json()["faces"][0]["box"]
    params = {"keep": ",".join(str(side) for side in box), "mask": ["250,5,300,35", "5,200,30,230"]}
    answer = client.post(MASK, content=photo, params=params)
    assert answer.headers["x-faces-masked"] == "3"
    masked, whole = pixels(answer.content), pixels(photo)
    assert masked[120, 60].min() > 200, "the face that stays"
    assert max(masked[120, 160].max(), masked[20, 275].max(), masked[215, 17].max()) < 20
    assert whole[120, 160].min() > 200


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_list_that_was_exported_and_corrected_can_be_fed_back(client: TestClient, photo: bytes, kind: str) -> None:
    faces = [Listed("keep", *face["box"]) for face in client.post(DETECT, content=photo).json()["faces"]]
    rows = Selection((faces[0], Listed("mask", 250, 5, 300, 35)))
    regions = rows.to_json() if kind == "json" else rows.to_csv()
    answer = client.post(MASK, files={"file": ("a.jpg", photo), "regions": ("list", regions)})
    assert answer.headers["x-faces-masked"] == "2"
    assert pixels(answer.content)[120, 60].min() > 200


@pytest.mark.parametrize("params", [{"keep": "1,2,3"}, {"mask": "a,b,c,d"}, {"mask": "5,5,1,1"}, {"keep": "nan,0,1,1"}])
def test_a_region_that_is_none_is_refused(client: TestClient, photo: bytes, params: dict[str, str]) -> None:
    answer = client.post(MASK, content=photo, params=params)
    assert answer.status_code == 422
    assert next(iter(params)) in answer.json()["detail"]


def test_a_list_that_masks_nothing_is_refused_and_never_becomes_the_answer_of_others(
    client: TestClient, photo: bytes
) -> None:
    files = {"file": ("a.jpg", photo), "regions": ("list", '{"version": 1, "only": true, "regions": []}')}
    answer = client.post(MASK, files=files)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "leave only out" in answer.json()["detail"]
    assert client.post(MASK, content=photo).headers["x-faces-masked"] == "2"


def test_an_image_without_faces_is_answered(client: TestClient, picture: Callable[..., bytes]) -> None:
    empty = picture(faces=0)
    assert client.post(MASK, content=empty).headers["x-faces-masked"] == "0"
    assert client.post(DETECT, content=empty).json()["faces"] == []


def test_defaults_come_from_the_settings(make_client: Callable[..., Any], photo: bytes) -> None:
    with make_client(masking__style="blur", masking__threshold="0.5", masking__search="fast") as client:
        report = json.loads(client.post(MASK, content=photo).headers["x-mask-report"])
        assert (report["style"], report["threshold"]) == ("blur", 0.5)
        defaults = {
            parameter["name"]: parameter["schema"]["default"]
            for parameter in client.get("/openapi.json").json()["paths"][MASK]["post"]["parameters"]
        }
    assert defaults == {"style": "blur", "threshold": 0.5, "search": "fast", "tone": "drop", "keep": [], "mask": []}


def test_a_repeat_is_answered_from_the_cache(client: TestClient, photo: bytes, detector: Any) -> None:
    first = client.post(MASK, content=photo)
    asked = detector.calls._value
    again = client.post(MASK, content=photo)
    assert detector.calls._value == asked, "the detector was not asked again"
    assert [first.headers["x-cache"], again.headers["x-cache"]] == ["miss", "hit-memory"]
    assert first.content == again.content
    assert first.headers["x-mask-report"] == again.headers["x-mask-report"]
    assert first.headers["x-prediction-id"] != again.headers["x-prediction-id"]


@pytest.mark.parametrize(
    "params", [{"style": "blur"}, {"threshold": "0.21"}, {"search": "thorough"}, {"keep": "0,0,9,9"}]
)
def test_another_policy_is_another_answer(client: TestClient, photo: bytes, params: dict[str, str]) -> None:
    client.post(MASK, content=photo)
    assert client.post(MASK, content=photo, params=params).headers["x-cache"] == "miss"


def test_skin_tones_are_kept_by_surrogates_on_request(client: TestClient, photo: bytes) -> None:
    surrogate = {"style": "surrogate"}
    plain = client.post(MASK, content=photo, params=surrogate)
    kept = client.post(MASK, content=photo, params=surrogate | {"tone": "keep"})
    assert (plain.status_code, kept.status_code, kept.headers["x-cache"]) == (200, 200, "miss")
    for params in ({"tone": "keep"}, surrogate | {"tone": "lighter"}):
        assert client.post(MASK, content=photo, params=params).status_code == 422


@pytest.mark.parametrize(("directive", "kept"), [("no-store", "miss"), ("max-age=0, No-Cache", "hit-memory")])
def test_the_cache_can_be_bypassed(client: TestClient, photo: bytes, directive: str, kept: str) -> None:
    bypassing = client.post(MASK, content=photo, headers={"Cache-Control": directive})
    assert bypassing.headers["x-cache"] == "bypass"
    assert client.post(MASK, content=photo).headers["x-cache"] == kept
    assert client.post(MASK, content=photo, headers={"Cache-Control": directive}).headers["x-cache"] == "bypass"


def test_without_its_redis_serving_goes_on(make_client: Callable[..., Any], photo: bytes) -> None:
    redis = {"cache__redis_url": "redis://127.0.0.1:1", "cache__secret": "0123456789" * 4}
    with make_client(**redis) as client:
        caches = [client.post(MASK, content=photo).headers["x-cache"] for _ in range(2)]
        metrics = client.get("/metrics").text
    assert caches == ["miss", "hit-memory"]
    assert "masker_redis_up 0.0" in metrics


def test_a_report_that_is_too_long_for_a_header_loses_its_lists(make_client: Callable[..., Any]) -> None:
    dots = np.full((180, 240, 3), 30, np.uint8)
    dots[::6, ::6] = 255
    with make_client(masking__threshold="0.05") as client:
        answer = client.post(MASK, content=bytes(cv2.imencode(".png", dots)[1]))
    report = json.loads(answer.headers["x-mask-report"])
    assert answer.headers["x-faces-masked"] == "1200"
    assert (report["faces"], report["truncated"]) == (1200, True)
    assert "scores" not in report


def test_all_is_counted(client: TestClient, photo: bytes, metrics: Any) -> None:
    for _ in range(2):
        client.post(MASK, content=photo)
    client.post(DETECT, content=photo)
    client.post(MASK, content=b"no image")
    client.get("/somewhere/holiday.jpg")
    shown = client.get("/metrics")
    assert shown.headers["content-type"].startswith("text/plain")
    for line in (
        'masker_requests_total{method="POST",route="/v1/mask/image",status="200"} 2.0',
        'masker_requests_total{method="POST",route="/v1/mask/image",status="415"} 1.0',
        'masker_requests_total{method="GET",route="none",status="404"} 1.0',
        'masker_request_seconds_count{route="/v1/detect/image"} 1.0',
        'masker_stage_seconds_count{stage="detect"} 2.0',
        'masker_stage_seconds_count{stage="queue"} 2.0',
        'masker_faces_masked_total{style="solid"} 4.0',
        'masker_images_total{kind="jpeg",outcome="masked"} 1.0',
        'masker_images_total{kind="jpeg",outcome="cached"} 1.0',
        'masker_images_total{kind="unknown",outcome="rejected"} 1.0',
        'masker_cache_requests_total{outcome="hit",tier="memory"} 1.0',
        'masker_model_info{model="face-detector",precision="fp32",version="1"} 1.0',
        'masker_model_swaps_total{outcome="swapped"} 2.0',
        "masker_ready 1.0",
        "masker_queue_depth 0.0",
        "masker_held_bytes 0.0",
    ):
        assert f"\n{line}\n" in shown.text
    assert "holiday" not in shown.text
