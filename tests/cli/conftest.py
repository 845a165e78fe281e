from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from cli.app import app
from mlops.registry.bundle import install, open_bundle

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def champion(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles with one champion in it."""
    root = tmp_path_factory.mktemp("bundles")
    install(trained, root, "face-detector", "1", open_bundle(trained, "1").digest)
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
