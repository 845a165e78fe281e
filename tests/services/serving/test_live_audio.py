import contextlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from masking.voice import policy
from tests.patience import until

LIVE = "ws://127.0.0.1:8000/v1/live/audio"
VIDEO = "ws://127.0.0.1:8000/v1/live"
RATE = 16000
CHUNK = 640
"""Samples of 40 ms."""
Making = Callable[..., contextlib.AbstractContextManager[TestClient]]


def answer(socket: WebSocketTestSession, chunk: bytes) -> tuple[dict[str, Any], np.ndarray]:
    socket.send_bytes(chunk)
    told = json.loads(socket.receive_text())
    masked = socket.receive_bytes()
    assert len(masked) == len(chunk), "as much comes back as went in"
    return told, np.frombuffer(masked, "<i2")


@pytest.fixture
def chunks(talk: np.ndarray) -> list[bytes]:
    """The talk in chunks of 40 ms."""
    pcm = (np.tile(talk, 2) * 32767).astype("<i2")
    return [pcm[at : at + CHUNK].tobytes() for at in range(0, len(pcm) - CHUNK, CHUNK)]


def test_each_chunk_comes_back_masked_with_its_latency(
    client: TestClient, chunks: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A disguise keeps much of a voice: how much depends on the key, which is another one each time.
    monkeypatch.setattr(policy, "secrets", SimpleNamespace(token_bytes=bytes))
    with client.websocket_connect(f"{LIVE}?style=disguise") as socket:
        answers = [answer(socket, chunk) for chunk in chunks]
    for told, _ in answers:
        assert (told["fault"], told["model_version"]) == ("", "1")
        assert told["milliseconds"] > 0
    (delay_seconds,) = {told["delay_seconds"] for told, _ in answers}
    masked = np.concatenate([pcm for _, pcm in answers]).astype(float)
    assert 0 < delay_seconds < 1
    assert np.abs(masked[: int(delay_seconds * RATE)]).max() == 0, "silence, until there is something to give"
    assert np.abs(masked).max() > 300, "and then a voice"
    raw = np.concatenate([np.frombuffer(chunk, "<i2") for chunk in chunks]).astype(float)
    lag = round(delay_seconds * RATE)
    likeness = [np.corrcoef(raw[: len(raw) - at], masked[at:])[0, 1] for at in range(max(1, lag - 20), lag + 20)]
    assert np.abs(likeness).max() < 0.5, "another voice than the one that came"
    shown = client.get("/metrics").text
    assert f'masker_live_chunks_total{{outcome="masked"}} {float(len(chunks))}' in shown
    assert "masker_live_sessions 0.0" in shown


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48000, 2)])
def test_the_shape_of_a_stream_is_told_by_its_parameters(client: TestClient, rate: int, channels: int) -> None:
    chunk = (1000 * np.sin(np.arange(rate // 25 * channels))).astype("<i2").tobytes()
    with client.websocket_connect(f"{LIVE}?rate={rate}&channels={channels}") as socket:
        for _ in range(3):
            assert answer(socket, chunk)[0]["fault"] == ""


@pytest.mark.parametrize("chunk", [b"\x01", b"odd", b"", bytes(2 * RATE)], ids=["half", "odd", "nothing", "a-second"])
def test_what_is_no_chunk_is_answered_by_silence(client: TestClient, chunks: list[bytes], chunk: bytes) -> None:
    with client.websocket_connect(LIVE) as socket:
        answer(socket, chunks[0])
        told, masked = answer(socket, chunk) if len(chunk) % 2 == 0 else bytes_answer(socket, chunk)
        assert told["fault"]
        assert not masked.any()
        assert answer(socket, chunks[1])[0]["fault"] == ""
    assert 'masker_live_chunks_total{outcome="silent"} 1.0' in client.get("/metrics").text


def bytes_answer(socket: WebSocketTestSession, chunk: bytes) -> tuple[dict[str, Any], np.ndarray]:
    socket.send_bytes(chunk)
    return json.loads(socket.receive_text()), np.frombuffer(socket.receive_bytes(), np.uint8)


def test_text_is_no_chunk(client: TestClient, chunks: list[bytes]) -> None:
    with client.websocket_connect(LIVE) as socket:
        socket.send_text("a secret that is not sound")
        assert json.loads(socket.receive_text())["fault"]
        assert socket.receive_bytes() == b""
        assert answer(socket, chunks[0])[0]["fault"] == ""


def test_a_model_that_fails_gives_silence_and_the_stream_goes_on(
    client: TestClient, chunks: list[bytes], voices: Any
) -> None:
    with client.websocket_connect(LIVE) as socket:
        voices.error = RuntimeError("of the graph")
        faults = [answer(socket, chunk) for chunk in chunks[:40]]
        assert any(told["fault"] for told, _ in faults)
        assert all(not masked.any() for told, masked in faults if told["fault"])
        assert not any("of the graph" in told["fault"] for told, _ in faults)
        voices.error = None
        assert [answer(socket, chunk)[0]["fault"] for chunk in chunks[:5]] == [""] * 5


def test_a_chunk_that_takes_too_long_is_silent_and_the_next_ones_are_not(
    make_client: Making, chunks: list[bytes], voices: Any
) -> None:
    with make_client(live__frame_seconds=0.2) as client, client.websocket_connect(LIVE) as socket:
        voices.gate.clear()
        for chunk in chunks[:40]:
            told, masked = answer(socket, chunk)
            if told["fault"]:
                break
        assert "too long" in told["fault"]
        assert not masked.any()
        voices.gate.set()
        # On a busy machine the next one may be late, too.
        until(lambda: answer(socket, chunks[0])[0]["fault"] == "")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("style=nonsense", "style"),
        ("background=nonsense", "background"),
        ("rate=96000", "rate"),
        ("rate=1", "rate"),
        ("rate=fast&channels=two&consistent=perhaps", "query.rate: "),
        ("channels=7", "channels"),
        ("threshold=.2", "parameters"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(client: TestClient, query: str, reason: str) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(f"{LIVE}?{query}") as socket:
        socket.receive_text()
    assert refused.value.code == 1008
    assert reason in refused.value.reason


def test_without_a_voice_model_there_is_no_stream(make_client: Making, voices: Any) -> None:
    voices.version = None
    with (
        make_client() as client,
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(LIVE) as socket,
    ):
        socket.receive_text()
    assert (refused.value.code, "voice model" in refused.value.reason) == (1013, True)


@pytest.mark.parametrize(("first", "second"), [(LIVE, VIDEO), (VIDEO, LIVE)])
def test_sound_and_pictures_share_the_places(
    make_client: Making, chunks: list[bytes], photo: bytes, first: str, second: str
) -> None:
    with make_client(live__sessions=1) as client, client.websocket_connect(first) as taken:
        taken.send_bytes(chunks[0] if first == LIVE else photo)
        assert json.loads(taken.receive_text())["fault"] == ""
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(second) as other:
            other.receive_text()
        assert refused.value.code == 1013


def test_a_new_champion_takes_over_and_begins_with_silence(
    client: TestClient, chunks: list[bytes], voices: Any
) -> None:
    with client.websocket_connect(LIVE) as socket:
        before = [answer(socket, chunk) for chunk in chunks]
        assert any(masked.any() for _, masked in before)
        voices.version = "2"
        until(lambda: client.get("/readyz").json()["voice_version"] == "2")
        told, masked = answer(socket, chunks[0])
        assert (told["model_version"], told["fault"], masked.any()) == ("2", "", False)


def test_another_sites_page_may_not_stream(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(LIVE, headers={"origin": "https://elsewhere.example"}),
    ):
        pass
    assert refused.value.status_code == 403
