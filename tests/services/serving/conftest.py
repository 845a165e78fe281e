"""A generic endpoint over real sockets, answered at the protocol and by FastAPI alone."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from mlops.metrics import Metrics
from mlops.predictions.capture_file import Capture
from mlops.predictions.row import Prediction
from mlops.registry.bundle import install
from mlops.settings import Settings
from pipelines.demo_model import graph_of
from pipelines.generic_bundle import assemble
from services.asgi.app import Part, create_app
from services.asgi.health import Readiness
from services.asgi.server import server_config
from services.serving.generic import directory
from services.serving.predict import Generic, generic_endpoints
from services.serving.subject import Overrides
from tests.patience import PATIENCE_SECONDS, until
from tests.services.places import settings_of


@dataclass
class Rows:
    """Keeps rows in a list."""

    kept: list[Prediction] = field(default_factory=list)

    def record(self, row: Prediction) -> None:
        self.kept.append(row)


@dataclass
class Taken:
    """Keeps all captures in a list."""

    kept: list[Capture] = field(default_factory=list)

    def wanted(self, identity: str) -> bool:
        return True

    def wants_raw(self, endpoint: str) -> bool:
        return False

    def offer(self, capture: Capture, raw: bytes | None = None) -> None:
        self.kept.append(capture)


class Nobody:
    """Holds no bytes."""

    def add(self, size_bytes: int) -> None:
        pass


@contextmanager
def holding() -> Iterator[Nobody]:
    yield Nobody()


@dataclass
class Served:
    """A server that runs, its port, what it wrote, and the turns of the hot protocol, if it has that."""

    port: int
    rows: Rows
    samples: Taken
    metrics: Metrics
    generic: Generic
    server: uvicorn.Server
    turn: Any


@pytest.fixture(scope="session", autouse=True)
def _unhurried_models() -> Iterator[None]:
    """However busy the machine: a server starts with the models that are there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(directory, "FIRST_SECONDS", PATIENCE_SECONDS)
        yield


def demo_graph(seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    sizes = (64, 32, 10)
    layers = [
        (rng.normal(0, 0.3, (fan_in, fan_out)).astype(np.float32), rng.normal(0, 0.1, fan_out).astype(np.float32))
        for fan_in, fan_out in pairwise(sizes)
    ]
    return graph_of(layers)


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bundle of a small network that learned nothing, and its digest."""
    folder = tmp_path_factory.mktemp("demo") / "bundle"
    sample = np.random.default_rng(2).random((8, 64), np.float32)
    return folder, assemble(folder, "demo", demo_graph(), {"features": sample})


@pytest.fixture(scope="session")
def demo_root(demo_bundle: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bundles with the demo model in it, as version 3."""
    root = tmp_path_factory.mktemp("bundles")
    install(demo_bundle[0], root, "demo", "3", demo_bundle[1])
    return root


def generic_settings(root: Path, **variables: object) -> Settings:
    return settings_of(**{"registry__bundles_path": root, "server__port": 0} | variables)


@contextmanager
def serving_generic(root: Path, hot: bool, **variables: object) -> Iterator[Served]:
    settings, metrics, rows, samples = generic_settings(root, **variables), Metrics(), Rows(), Taken()
    overrides = Overrides(settings.serving.override_networks)
    generic = generic_endpoints(settings, metrics, overrides, rows, samples, [], holding, "here", lambda *_: None)

    @asynccontextmanager
    async def lifespan() -> Any:
        async with generic.lifespan():
            yield

    part = Part(generic.router, lifespan, lambda: Readiness(True), generic.http if hot else None)
    app = create_app(settings, metrics, [part], "test")
    server = uvicorn.Server(server_config(app, settings.server))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, 0.002)
    try:
        yield Served(
            server.servers[0].sockets[0].getsockname()[1],
            rows,
            samples,
            metrics,
            generic,
            server,
            getattr(app.state.http, "turn", None),
        )
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def serve_generic() -> Callable[..., AbstractContextManager[Served]]:
    """Serve a folder of bundles: ``with serve_generic(root, hot=True) as served``."""

    def serve(root: Path, hot: bool = True, **variables: object) -> AbstractContextManager[Served]:
        return serving_generic(root, hot, **variables)

    return serve


@pytest.fixture(scope="session")
def both(demo_root: Path) -> Iterator[tuple[Served, Served]]:
    """The demo model behind the hot protocol, and behind FastAPI alone."""
    limits = {"serving__predict_bytes": 200_000, "serving__predict_json_bytes": 190_000}
    with contextlib.ExitStack() as stack:
        yield (
            stack.enter_context(serving_generic(demo_root, True, **limits)),
            stack.enter_context(serving_generic(demo_root, False, **limits)),
        )
