import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result
from websockets.sync.server import ServerConnection, serve

from cli import cam
from tests.patience import PATIENCE_SECONDS

Run = Callable[..., Result]


def pictures(data: bytes) -> list[np.ndarray]:
    parts = data.split(b"\xff\xd8\xff")[1:]
    return [cv2.imdecode(np.frombuffer(b"\xff\xd8\xff" + part, np.uint8), cv2.IMREAD_COLOR) for part in parts]


def test_every_frame_comes_out_masked(masker: Run, clip: Path) -> None:
    result = masker("cam", "--source", clip, "--output", "-")
    assert result.exit_code == 0
    shown = pictures(result.stdout_bytes)
    assert len(shown) == 12
    for pixels in shown:
        assert pixels[60:95, 110:140].mean() < 5
    assert "0 of 12 frames were black" in result.stderr


@pytest.mark.parametrize(("frames", "told"), [(5, ["5"]), (30, ["30"]), (33, ["30", "33"])])
def test_the_pace_is_told_now_and_then_and_at_the_end(
    frames: int,
    told: list[str],
    masker: Run,
    small: np.ndarray,
    write_clip: Callable[[Path, list[np.ndarray]], None],
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "in.mp4", [small[:32, :32]] * frames)
    result = masker("cam", "--source", "in.mp4", "--output", "-")
    paces = [line for line in result.stderr.splitlines() if "ms of it masking" in line]
    assert [line.split()[0] for line in paces] == told


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cam, "SERVER_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
def server() -> Iterator[str]:
    """A server that answers one frame and then breaks off."""

    def answer(socket: ServerConnection) -> None:
        jpeg = socket.recv()
        socket.send('{"faces": 0, "milliseconds": 1.5, "fault": ""}')
        socket.send(jpeg)
        socket.recv()

    with serve(answer, "127.0.0.1", 0, open_timeout=PATIENCE_SECONDS, ping_interval=None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{running.socket.getsockname()[1]}/v1/live"
        running.shutdown()
        thread.join()


def test_when_the_server_goes_the_frames_are_black(masker: Run, clip: Path, server: str) -> None:
    result = masker("cam", "--source", clip, "--server", server, "--output", "-", "--frames", "4")
    first, *others = pictures(result.stdout_bytes)
    assert first.mean() > 20
    assert [pixels.mean() for pixels in others] == [0, 0, 0]
    assert "the server is gone" in result.stderr
    assert "3 of 4 frames were black" in result.stderr


def test_why_a_server_does_not_take_a_stream_is_told_and_no_file_is_left(
    masker: Run, clip: Path, tmp_path: Path
) -> None:
    def refuse(socket: ServerConnection) -> None:
        socket.close(1008, "unknown style; known are solid, blur")

    with serve(refuse, "127.0.0.1", 0, open_timeout=PATIENCE_SECONDS, ping_interval=None) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        address = f"ws://127.0.0.1:{running.socket.getsockname()[1]}/v1/live"
        result = masker("cam", "--source", clip, "--server", address, "--output", "out.mjpeg")
        running.shutdown()
        thread.join()
    assert (result.exit_code, (tmp_path / "out.mjpeg").exists()) == (2, False)
    assert "does not take the stream: unknown style; known are solid, blur" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--source", "none.mp4", "--output", "-"), 2, "cannot be opened"),
        (("--style", "sepia", "--output", "-"), 2, "unknown style"),
        (("--server", "http://nowhere", "--output", "-"), 2, "does not take a stream"),
        (("--server", "ws://127.0.0.1:1/v1/live", "--output", "-"), 1, "ws://127.0.0.1:1/v1/live cannot be reached"),
        (("--output", "there.mjpeg"), 1, "masker: there.mjpeg: "),
    ],
)
def test_what_cannot_be_done_is_told(
    options: tuple[str, ...], code: int, told: str, masker: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "there.mjpeg").touch()
    given = options if "--source" in options else (*options, "--source", str(clip))
    result = masker("cam", *given)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (code, True)
