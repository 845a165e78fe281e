from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.testclient import TestClient

from masking.voice.loading import VoiceModel, load_voice
from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.types import Mono
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.table import PREDICTIONS
from mlops.registry.bundle import open_bundle
from services.serving.app import serving_app
from services.serving.faces import check_faces
from services.serving.voices import check_voices
from services.serving.watcher import Source
from tests.patience import until, until_true
from tests.services.pictures import BrightSpots, Registry, draw
from tests.services.places import places_in, settings_of
from tests.services.voices import Braked, VoiceRegistry, make_bundle, record

ROOT = Path(__file__).resolve().parents[2]
HOST = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the test's folder, so that a place that no test names lies there, too, and never in the checkout."""
    monkeypatch.chdir(tmp_path)
    # Children find the code all the same.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


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


@pytest.fixture(scope="session")
def talk() -> Mono:
    """Two seconds and a bit of somebody who does not exist, at 16 kHz."""
    rng = np.random.default_rng(11)
    return speak(Speaker.draw(rng), lexicon(4, rng), rng).samples


@pytest.fixture
def sound(talk: Mono) -> Callable[..., bytes]:
    """Make a sound file of the talk: ``sound("mp3", "libmp3lame", rate=48000, channels=2)``."""
    return partial(record, talk)


@pytest.fixture(scope="session")
def voice_bundle(talk: Mono, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of `voice-masker` that tests use."""
    folder = tmp_path_factory.mktemp("voice") / "bundle"
    make_bundle(folder, talk)
    return folder


@pytest.fixture(scope="session")
def voice_model(voice_bundle: Path) -> VoiceModel:
    return load_voice(open_bundle(voice_bundle, "1"))


@pytest.fixture
def voices(voice_model: VoiceModel) -> Iterator[VoiceRegistry]:
    def make(registry: VoiceRegistry, version: str) -> VoiceModel:
        return replace(voice_model, version=version, vad=Braked(registry, voice_model.vad, version))

    made = VoiceRegistry(make)
    yield made
    made.gate.set()


@pytest.fixture
def predictions(rows_of: dict[str, object]) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Give the rows of predictions, oldest first, as soon as there are so many."""
    database = database_of(settings_of(**rows_of).predictions)

    def read(most: int) -> list[dict[str, Any]]:
        def enough() -> list[dict[str, Any]]:
            with database.reading() as connection:
                rows = connection.execute(PREDICTIONS.select().order_by(PREDICTIONS.c.time)).mappings().all()
            return [dict(row) for row in rows] if len(rows) >= most else []

        return until(enough)

    yield read
    database.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def rows_of(tmp_path: Path) -> dict[str, object]:
    """Settings that keep everything in the test's folder, and predictions soon."""
    return places_in(tmp_path) | {"predictions__flush_seconds": 0.05}


@pytest.fixture
def make_client(
    registry: Registry, voices: VoiceRegistry, metrics: Metrics, rows_of: dict[str, object]
) -> Callable[..., object]:
    """Serve with settings laid over: ``with make_client(serving__threads=1) as client``."""

    @contextmanager
    def make(**variables: object) -> Iterator[TestClient]:
        models = Source(registry.stamp, registry.split, registry.load, check_faces)
        voice_models = Source(voices.stamp, voices.split, voices.load, check_voices)
        app = serving_app(settings_of(**rows_of | variables), metrics, models, voice_models)
        with TestClient(app, base_url=HOST) as client:
            if registry.version and not registry.error:
                until(lambda: client.get("/readyz").status_code == 200)
            if registry.version and voices.version:
                until(lambda: "voice_model" in client.get("/readyz").json())
            yield client

    return make


@pytest.fixture
def client(make_client: Callable[..., object]) -> Iterator[TestClient]:
    with make_client() as serving:
        yield serving


async def _is_ready(client: httpx2.AsyncClient) -> bool:
    return bool((await client.get("/readyz")).status_code == 200)


@pytest.fixture
def make_async_client(
    registry: Registry, voices: VoiceRegistry, metrics: Metrics, rows_of: dict[str, object]
) -> Callable[..., object]:
    """The same for many requests at a time: ``async with make_async_client() as client``."""

    @asynccontextmanager
    async def make(**variables: object) -> AsyncIterator[httpx2.AsyncClient]:
        models = Source(registry.stamp, registry.split, registry.load, check_faces)
        voice_models = Source(voices.stamp, voices.split, voices.load, check_voices)
        app = serving_app(settings_of(**rows_of | variables), metrics, models, voice_models)
        transport = httpx2.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            if registry.version is not None:
                await until_true(partial(_is_ready, client))
            yield client

    return make
