import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from masking.face.maskers import MASKERS, Masker, maskers_with
from tests.patience import until

LIVE = "ws://127.0.0.1:8000/v1/live"


def answer(socket: WebSocketTestSession, frame: bytes) -> tuple[dict[str, object], np.ndarray]:
    socket.send_bytes(frame)
    told = json.loads(socket.receive_text())
    return told, cv2.imdecode(np.frombuffer(socket.receive_bytes(), np.uint8), cv2.IMREAD_COLOR)


def test_each_frame_comes_back_masked_with_its_latency(client: TestClient, photo: bytes) -> None:
    before = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    with client.websocket_connect(f"{LIVE}?style=solid") as socket:
        for _ in range(3):
            told, shown = answer(socket, photo)
            assert (told["faces"], told["fault"], told["model_version"]) == (2, "", "1")
            assert told["milliseconds"] > 0
            assert shown.shape == before.shape
            # The bright spots, which the detector of the tests takes for faces, are gone.
            assert shown.max() < 150 < before.max()
    assert 'masker_live_frames_total{outcome="masked"} 3.0' in client.get("/metrics").text


@pytest.mark.parametrize("frame", [b"", b"no picture", b"\xff\xd8\xff broken"])
def test_what_is_no_frame_is_answered_with_a_black_one(client: TestClient, photo: bytes, frame: bytes) -> None:
    with client.websocket_connect(LIVE) as socket:
        answer(socket, photo)
        told, shown = answer(socket, frame)
        assert told["fault"]
        assert (shown.max(), shown.shape) == (0, (240, 320, 3))
        assert answer(socket, photo)[0]["fault"] == ""


def test_a_detector_that_fails_gives_black_frames(client: TestClient, detector: object, photo: bytes) -> None:
    detector.error = RuntimeError("of the frame")
    with client.websocket_connect(LIVE) as socket:
        told, shown = answer(socket, photo)
    assert (told["fault"], shown.max()) == ("the frame could not be masked", 0)


def test_a_frame_that_takes_too_long_is_black_and_the_next_one_is_not(
    make_client: Callable[..., contextlib.AbstractContextManager[TestClient]], detector: object, photo: bytes
) -> None:
    with make_client(live__frame_seconds=0.3) as client, client.websocket_connect(LIVE) as socket:
        detector.gate.clear()
        told, shown = answer(socket, photo)
        assert ("too long" in told["fault"], shown.max()) == (True, 0)
        detector.gate.set()
        # On a busy machine the next one may be late, too.
        shown = until(lambda: None if (next_one := answer(socket, photo))[0]["fault"] else next_one[1].max())
        assert shown > 0


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("style=sepia", "style"),
        ("style=averages", "train it with 20 people"),
        ("threshold=7", "threshold"),
        ("threshold=high", "query.threshold: "),
        ("tone=keep", "tone"),
        ("treshold=.2", "parameters"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(client: TestClient, query: str, reason: str) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(f"{LIVE}?{query}") as socket:
        socket.receive_text()
    assert refused.value.code == 1008
    assert reason in refused.value.reason


def test_averages_cover_a_stream_until_a_model_without_them_takes_over(
    client: TestClient, registry: object, photo: bytes, averages: Path
) -> None:
    def take_over(version: str, maskers: Mapping[str, Masker]) -> None:
        registry.maskers, registry.version = maskers, version
        until(lambda: client.get("/readyz").json()["version"] == version)

    take_over("2", maskers_with(averages))
    with client.websocket_connect(f"{LIVE}?style=averages") as socket:
        told, shown = answer(socket, photo)
        assert told["faces"] == 2
        blue, green, red = shown[110:130, 50:70].reshape(-1, 3).mean(axis=0)
        assert green > max(red, blue) + 40
        take_over("3", MASKERS)
        socket.send_bytes(photo)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert (closed.value.code, "averages" in closed.value.reason) == (1008, True)


def test_only_so_many_streams_are_masked_at_a_time(
    make_client: Callable[..., contextlib.AbstractContextManager[TestClient]], photo: bytes
) -> None:
    with make_client(live__sessions=1) as client:
        with client.websocket_connect(LIVE) as first:
            answer(first, photo)
            with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(LIVE) as second:
                second.receive_text()
            assert refused.value.code == 1013

        def is_let_in() -> bool:
            with contextlib.suppress(WebSocketDisconnect), client.websocket_connect(LIVE) as again:
                return bool(answer(again, photo)[0]["faces"] == 2)
            return False

        until(is_let_in)


def test_another_sites_page_may_not_stream(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(LIVE, headers={"origin": "https://elsewhere.example"}),
    ):
        pass
    assert refused.value.status_code == 403
