import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import uvicorn
from av.container import OutputContainer
from fastapi import FastAPI
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from cli.app import app
from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.types import RATE, Mono
from mlops.metrics import Metrics
from mlops.registry.bundle import install, open_bundle, point
from mlops.registry.errors import UnknownVersion
from mlops.registry.version import Version
from mlops.settings import Settings
from services.asgi.app import create_app
from services.control.app import control_part
from tests.patience import until

Run = Callable[..., Result]
Serve = Callable[[FastAPI], AbstractContextManager[str]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def champion(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles with a champion for faces and one for voices in it; the second is the base that ships."""
    root = tmp_path_factory.mktemp("bundles")
    install(trained, root, "face-detector", "1", open_bundle(trained, "1").digest)
    voices = tmp_path_factory.mktemp("voices") / "bundle"
    shutil.copytree(ROOT / "models/voice", voices)
    shutil.copyfile(ROOT / "data/base/silero_vad.onnx", voices / "vad.onnx")
    install(voices, root, "voice-masker", "1", open_bundle(voices, "1").digest)
    return root


@pytest.fixture
def environment(champion: Path) -> dict[str, str]:
    return {"MASKER_REGISTRY__BUNDLES_PATH": str(champion)}


@pytest.fixture
def masker(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `masker` in the test's folder."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)

    return run


@pytest.fixture(scope="session")
def talk() -> Mono:
    """Somebody who does not exist, speaking for a second and a half, at 16 kHz; silence before and after."""
    rng = np.random.default_rng(11)
    spoken = speak(Speaker.draw(rng), lexicon(4, rng), rng).samples
    return np.pad(spoken[:24_000], (8_000, 8_000))


@pytest.fixture(scope="session")
def write_sound() -> Callable[..., None]:
    """Write samples at 16 kHz as a sound file of the kind that its name says."""

    def write(path: Path, samples: Mono, codec: str, title: str | None = None) -> None:
        with av.open(str(path), "w") as container:
            container.metadata.update({} if title is None else {"title": title})
            for _ in add_sound(container, samples, codec):
                pass

    return write


def add_sound(container: OutputContainer, samples: Mono, codec: str) -> Iterator[None]:
    """Add a track, and write it when asked for more: all tracks have to be there before anything is written."""
    stream = container.add_stream(codec, rate=RATE, layout="mono")
    yield
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = RATE
    resampler = av.AudioResampler(stream.format.name, "mono", RATE)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(piece))
    container.mux(stream.encode())


@pytest.fixture(scope="session")
def small(photo_pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo of one person, small enough to be quick: (h, w, 3) RGB."""
    return np.ascontiguousarray(cv2.resize(photo_pixels, (160, 188), interpolation=cv2.INTER_AREA))


@pytest.fixture(scope="session")
def photo(small: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1])


@pytest.fixture(scope="session")
def write_clip() -> Callable[[Path, Sequence[NDArray[np.uint8]]], None]:
    def write(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(25))
            stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
            for pixels in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(stream.encode())

    return write


@pytest.fixture(scope="session")
def clip(
    small: NDArray[np.uint8],
    write_clip: Callable[[Path, Sequence[NDArray[np.uint8]]], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Twelve frames of one person, who moves slowly to the right."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    wide = np.pad(small, ((0, 0), (40, 40), (0, 0)), mode="edge")
    write_clip(path, [np.roll(wide, step, axis=1) for step in range(12)])
    return path


@pytest.fixture(scope="session")
def talking_clip(small: NDArray[np.uint8], talk: Mono, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of one person who does not move, and of somebody who speaks."""
    path = tmp_path_factory.mktemp("talking") / "talking.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = small.shape[1], small.shape[0], "yuv420p"
        for _ in add_sound(container, talk[8_000:24_000], "pcm_s16le"):
            for _ in range(25):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, "rgb24")))
            container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serve an app on a port of this machine; gives its address."""

    @contextmanager
    def serving(app: FastAPI) -> Iterator[str]:
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

    return serving


class TwoVersions:
    """A registry that has versions 1 and 2 of everything."""

    def names(self) -> list[str]:
        return ["face-detector"]

    def versions(self, name: str) -> list[Version]:
        return [self.resolve(name, "1")]

    def resolve(self, name: str, wanted: str) -> Version:
        if wanted not in ("1", "2"):
            raise UnknownVersion(f"{name} has no version {wanted}")
        return Version(name, wanted, wanted * 64, {}, (), "", 0)


@pytest.fixture(scope="session")
def serve_platform(serve: Serve) -> Callable[[Settings], AbstractContextManager[str]]:
    """Serve the platform API with these settings; version 1 of the faces' model is champion, 2 is registered."""

    def serving(settings: Settings) -> AbstractContextManager[str]:
        point(settings.registry.bundles_path, "face-detector", "1", "1" * 64)
        return serve(create_app(settings, Metrics(), [control_part(settings, TwoVersions())], "control"))

    return serving
