import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import cv2
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from masking.face.loading import LoadedModel
from masking.face.maskers import MASKERS, Masker
from masking.types import Faces
from mlops.metrics import Metrics
from mlops.settings import Settings, load_settings
from services.serving.app import serving_app
from services.serving.watcher import Source

BRIGHT, DIM = 245, 215
HOST = "http://127.0.0.1:8000"
QUICK = {"serving__threads": 2, "registry__poll_seconds": 0.02, "masking__search": "fast"}


@dataclass
class BrightSpots:
    """A detector that takes every bright spot for a face, and is the surer of it the brighter it is.

    It waits while ``gate`` is closed, counts in ``calls`` that it was asked, and raises ``error`` if there is one.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    calls: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, pixels: NDArray[np.uint8], threshold: float) -> Faces:
        self.calls.release()
        assert self.gate.wait(20)
        if self.error is not None:
            raise self.error
        bright = (pixels.min(axis=2) > 200).astype(np.uint8)
        _, places, stats, _ = cv2.connectedComponentsWithStats(bright)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]], np.float32).reshape(-1, 4)
        brightest = [np.median(pixels[places == spot]) for spot in range(1, len(stats))]
        scores = np.interp(brightest, (DIM, BRIGHT), (0.3, 0.9)).astype(np.float32)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        return Faces(boxes, scores, np.repeat(centres[:, None], 5, axis=1))[scores >= threshold]

    async def asked(self) -> None:
        """Wait until the detector was asked once more."""
        assert await asyncio.to_thread(self.calls.acquire, timeout=20)


@dataclass
class Registry:
    """Where the app gets its models from; a test changes ``version``, or the loader."""

    detector: BrightSpots
    version: str | None = "1"
    error: Exception | None = None
    stamp_error: Exception | None = None
    loads: int = 0
    maskers: Mapping[str, Masker] = field(default_factory=lambda: MASKERS)

    def stamp(self) -> str | None:
        if self.stamp_error is not None:
            raise self.stamp_error
        return self.version

    def load(self) -> LoadedModel:
        self.loads += 1
        if self.error is not None:
            raise self.error
        return LoadedModel("face-detector", str(self.version), "fp32", self.detector, "0" * 64, maskers=self.maskers)


def draw(suffix: str = ".jpg", faces: int = 2, width: int = 320, height: int = 240) -> bytes:
    """A dark picture with bright spots, as a file of that kind."""
    pixels = np.random.default_rng(7).integers(20, 90, (height, width, 3), np.uint8)
    shades = [(level,) * 3 for level in np.linspace(BRIGHT, DIM, faces)]
    for index in range(faces):
        cv2.ellipse(pixels, (60 + 100 * index, height // 2), (24, 32), 0, 0, 360, shades[index], -1)
    return bytes(cv2.imencode(suffix, pixels)[1])


def settings_of(**variables: object) -> Settings:
    """Settings with ``section__name=value`` laid over."""
    given = QUICK | variables
    return load_settings(environ={f"MASKER_{name.upper()}": str(value) for name, value in given.items()})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def picture() -> Callable[..., bytes]:
    return draw


@pytest.fixture
def photo() -> bytes:
    return draw()


@pytest.fixture
def detector() -> Iterator[BrightSpots]:
    spots = BrightSpots()
    yield spots
    spots.gate.set()


@pytest.fixture
def registry(detector: BrightSpots) -> Registry:
    return Registry(detector)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make_client(registry: Registry, metrics: Metrics) -> Callable[..., object]:
    """Serve with settings laid over: ``with make_client(serving__threads=1) as client``."""

    @contextmanager
    def make(**variables: object) -> Iterator[TestClient]:
        app = serving_app(settings_of(**variables), metrics, Source(registry.stamp, registry.load))
        with TestClient(app, base_url=HOST) as client:
            while registry.version and not registry.error and client.get("/readyz").status_code != 200:
                pass
            yield client

    return make


@pytest.fixture
def client(make_client: Callable[..., object]) -> Iterator[TestClient]:
    with make_client() as serving:
        yield serving


@pytest.fixture
def make_async_client(registry: Registry, metrics: Metrics) -> Callable[..., object]:
    """The same for many requests at a time: ``async with make_async_client() as client``."""

    @asynccontextmanager
    async def make(**variables: object) -> AsyncIterator[httpx2.AsyncClient]:
        app = serving_app(settings_of(**variables), metrics, Source(registry.stamp, registry.load))
        transport = httpx2.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            for _ in range(1000):
                if registry.version is None or (await client.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.005)
            yield client

    return make
