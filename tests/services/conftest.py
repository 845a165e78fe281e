import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import httpx2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from masking.face.loading import LoadedModel
from masking.face.maskers import MASKERS, Masker
from masking.types import Faces
from masking.voice.loading import VoiceModel, load_voice
from masking.voice.mel import log_mel
from masking.voice.procedural import Speaker, lexicon, speak
from masking.voice.types import BANDS, RATE, Mono
from mlops.metrics import Metrics
from mlops.predictions.recorder import database_of
from mlops.predictions.table import PREDICTIONS
from mlops.registry.bundle import open_bundle
from mlops.rollout.traffic import Split, Variant
from mlops.settings import Settings, load_settings
from pipelines.voice.bundles import assemble
from services.serving.app import serving_app
from services.serving.faces import check_faces
from services.serving.voices import Figures, Voices
from services.serving.watcher import Source

ROOT = Path(__file__).resolve().parents[2]
BRIGHT, DIM = 245, 215
HOST = "http://127.0.0.1:8000"
QUICK = {"serving__threads": 2, "registry__traffic_seconds": 0.02, "masking__search": "fast"}


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
    beside: Variant | None = None
    detectors: dict[str, BrightSpots] = field(default_factory=dict)

    def stamp(self) -> str | None:
        if self.stamp_error is not None:
            raise self.stamp_error
        return None if self.version is None else f"{self.version} {self.beside}"

    def split(self) -> Split | None:
        if self.version is None:
            return None
        if self.beside is None:
            return Split.whole("face-detector", self.version, "0" * 64)
        champion = Variant("champion", self.version, "0" * 64, 1 - self.beside.weight)
        return Split("face-detector", (champion, self.beside), "salt", release="a-release")

    def put_beside(self, version: str, weight: float = 0.5, **more: Any) -> BrightSpots:
        """Let a challenger have a share of the traffic; its detector is returned."""
        self.detectors[version] = BrightSpots()
        self.beside = Variant("challenger", version, "0" * 64, weight, **more)
        return self.detectors[version]

    def load(self, variant: Variant) -> LoadedModel:
        self.loads += 1
        if self.error is not None:
            raise self.error
        detector = self.detectors.get(variant.version, self.detector)
        return LoadedModel("face-detector", variant.version, "fp32", detector, "0" * 64, maskers=self.maskers)


@dataclass
class Braked:
    """A session of a graph that waits while the gate of its voices is closed, and raises their error if any."""

    voices: "VoiceRegistry"
    session: Any
    version: str

    def run(self, names: Any, inputs: Any) -> Any:
        self.voices.asked.set()
        assert self.voices.gate.wait(20)
        if self.version in self.voices.broken:
            raise RuntimeError("broken")
        if self.voices.error is not None:
            raise self.voices.error
        return self.session.run(names, inputs)


@dataclass
class VoiceRegistry:
    """Where the app gets its models of voices from; a test changes ``version``, or what the graphs do."""

    make: Callable[["VoiceRegistry", str], VoiceModel]
    version: str | None = "1"
    error: Exception | None = None
    load_error: Exception | None = None
    figures: Figures = field(default_factory=dict)
    beside: Variant | None = None
    broken: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def stamp(self) -> str | None:
        return None if self.version is None else f"{self.version} {self.beside}"

    def split(self) -> Split | None:
        if self.version is None or self.beside is None:
            return None if self.version is None else Split.whole("voice-masker", self.version, "0" * 64)
        champion = Variant("champion", self.version, "0" * 64, 1 - self.beside.weight)
        return Split("voice-masker", (champion, self.beside), "salt")

    def load(self, variant: Variant) -> Voices:
        if self.load_error is not None:
            raise self.load_error
        return Voices(self.make(self, variant.version), self.figures)


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


@pytest.fixture(scope="session")
def talk() -> Mono:
    """Two seconds and a bit of somebody who does not exist, at 16 kHz."""
    rng = np.random.default_rng(11)
    return speak(Speaker.draw(rng), lexicon(4, rng), rng).samples


@pytest.fixture
def sound(talk: Mono) -> Callable[..., bytes]:
    """Make a sound file of the talk: ``sound("mp3", "libmp3lame", rate=48000, channels=2)``."""

    def make(container: str = "wav", codec: str = "pcm_s16le", rate: int = RATE, channels: int = 1) -> bytes:
        layout = "mono" if channels == 1 else "stereo"
        file = io.BytesIO()
        with av.open(file, "w", format=container) as written:
            stream = written.add_stream(codec, rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.tile(talk, (channels, 1)), format="fltp", layout=layout)
            frame.sample_rate = RATE
            resampler = av.AudioResampler(stream.format.name, layout, rate)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                written.mux(stream.encode(piece))
            written.mux(stream.encode())
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def voice_bundle(talk: Mono, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of `voice-masker` whose graph says of every frame that it sounds like the mean of the talk."""
    mel = log_mel(talk)
    average = mel.mean(axis=0)
    nodes = [
        onnx.helper.make_node("Mul", ["mel", "nothing"], ["flat"]),
        onnx.helper.make_node("Add", ["flat", "average"], ["envelope"]),
        onnx.helper.make_node("ReduceMean", ["mel"], ["level"], axes=[2], keepdims=1),
        onnx.helper.make_node("Sigmoid", ["level"], ["voicing"]),
    ]
    bands, one = ([1, "t", BANDS], [1, "t", 1])
    value = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    weights = [
        onnx.numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
        onnx.numpy_helper.from_array(average.astype(np.float32), "average"),
    ]
    outputs = [value("envelope", shape=bands), value("voicing", shape=one)]
    graph = onnx.helper.make_graph(nodes, "voice", [value("mel", shape=bands)], outputs, weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    told = {"left": "0", "right": "0", "kind": "codebook", "average": ",".join(str(level) for level in average)}
    onnx.helper.set_model_props(model, told)
    folder = tmp_path_factory.mktemp("voice") / "bundle"
    vad = ROOT / "data/base/silero_vad.onnx"
    assemble(folder, "voice-masker", "codebook", model.SerializeToString(), mel, vad)
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
def predictions(rows_of: dict[str, object]) -> Callable[..., list[dict[str, Any]]]:
    """Give the rows of predictions, oldest first, as soon as there are so many."""
    database = database_of(settings_of(**rows_of).predictions)

    def read(most: int) -> list[dict[str, Any]]:
        for _ in range(400):
            with database.reading() as connection:
                rows = connection.execute(PREDICTIONS.select().order_by(PREDICTIONS.c.time)).mappings().all()
            if len(rows) >= most:
                return [dict(row) for row in rows]
            time.sleep(0.02)
        raise AssertionError(f"there are {len(rows)} rows")

    return read


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def rows_of(tmp_path: Path) -> dict[str, object]:
    """Settings that keep predictions in the test's folder."""
    return {
        "predictions__url": f"sqlite:///{tmp_path}/predictions.db",
        "predictions__spool_path": tmp_path / "predictions",
        "predictions__flush_seconds": 0.05,
        "capture__path": tmp_path / "captures",
        "registry__bundles_path": tmp_path / "bundles",
    }


@pytest.fixture
def make_client(
    registry: Registry, voices: VoiceRegistry, metrics: Metrics, rows_of: dict[str, object]
) -> Callable[..., object]:
    """Serve with settings laid over: ``with make_client(serving__threads=1) as client``."""

    @contextmanager
    def make(**variables: object) -> Iterator[TestClient]:
        models = Source(registry.stamp, registry.split, registry.load, check_faces)
        voice_models = Source(voices.stamp, voices.split, voices.load)
        app = serving_app(settings_of(**rows_of | variables), metrics, models, voice_models)
        with TestClient(app, base_url=HOST) as client:
            while registry.version and not registry.error and client.get("/readyz").status_code != 200:
                pass
            while registry.version and voices.version and "voice_model" not in client.get("/readyz").json():
                pass
            yield client

    return make


@pytest.fixture
def client(make_client: Callable[..., object]) -> Iterator[TestClient]:
    with make_client() as serving:
        yield serving


@pytest.fixture
def make_async_client(
    registry: Registry, voices: VoiceRegistry, metrics: Metrics, rows_of: dict[str, object]
) -> Callable[..., object]:
    """The same for many requests at a time: ``async with make_async_client() as client``."""

    @asynccontextmanager
    async def make(**variables: object) -> AsyncIterator[httpx2.AsyncClient]:
        models = Source(registry.stamp, registry.split, registry.load, check_faces)
        voice_models = Source(voices.stamp, voices.split, voices.load)
        app = serving_app(settings_of(**rows_of | variables), metrics, models, voice_models)
        transport = httpx2.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url=HOST) as client:
            for _ in range(1000):
                if registry.version is None or (await client.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.005)
            yield client

    return make
