from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

EXPLAIN, MASK = "/v1/explain/image", "/v1/mask/image"


def regions(client: TestClient, photo: bytes, **params: Any) -> list[tuple[str, bool, bool]]:
    told = client.post(EXPLAIN, content=photo, params=params)
    assert told.status_code == 200, told.text
    return [(each["reason"], each["masked"], each["score"] is None) for each in told.json()["regions"]]


DETECTED, BELOW = ("detected", True, False), ("below-threshold", False, False)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # The bright spot scores .9, the lesser one .3.
        ({"threshold": 0.2}, [DETECTED, DETECTED]),
        ({"threshold": 0.5}, [DETECTED, BELOW]),
        ({"threshold": 0.7}, [DETECTED]),
        ({"threshold": 0.5, "mask": "250,5,300,35"}, [("asked", True, True), DETECTED, BELOW]),
        ({"threshold": 0.5, "keep": "20,70,100,170"}, [("kept", False, False), BELOW]),
    ],
)
def test_every_region_is_told_with_its_reason(
    client: TestClient, photo: bytes, params: dict[str, Any], expected: list[tuple[str, bool, bool]]
) -> None:
    assert regions(client, photo, **params) == expected


def test_it_says_how_sure_it_is(client: TestClient, photo: bytes) -> None:
    told = client.post(EXPLAIN, content=photo, params={"threshold": 0.5}).json()
    sure, doubtful = told["regions"]
    assert 0.85 < sure["score"] <= 0.95
    assert sure["margin"] == pytest.approx(sure["score"] - 0.5, abs=1e-4)
    assert doubtful["margin"] < 0
    assert np.allclose(sure["box"], [36, 88, 85, 153], atol=3)
    assert (told["image"], told["threshold"], told["model_version"]) == ({"width": 320, "height": 240}, 0.5, "1")


def test_the_picture_is_the_masked_one_with_frames(client: TestClient, photo: bytes) -> None:
    answer = client.post(EXPLAIN, content=photo, headers={"Accept": "image/png"}, params={"style": "solid"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["x-variant"] == "champion"
    drawn = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    masked = cv2.imdecode(np.frombuffer(client.post(MASK, content=photo).content, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == masked.shape == (240, 320, 3)
    assert drawn[100:140, 50:70].max() < 60, "the face is not shown"
    assert (drawn[..., 1].astype(int) - drawn[..., 0] > 100).any(), "there are frames"


def test_what_is_no_picture_is_a_problem(client: TestClient, predictions: Callable[..., Any]) -> None:
    answer = client.post(EXPLAIN, content=b"no picture")
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    assert predictions(1)[0]["outcome"] == "rejected"
