from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from mlops.metrics import Metrics
from mlops.registry.errors import RegistryError, UnknownVersion
from mlops.registry.version import Version
from mlops.settings import Settings, load_settings
from services.asgi.app import create_app
from services.control.app import control_part

HOST = "http://127.0.0.1:8000"


@dataclass
class Shelf:
    """A registry of a few versions, by model and number; a test puts them there, or takes the whole away."""

    held: dict[str, dict[str, Version]] = field(default_factory=dict)
    is_away: bool = False

    def put(self, name: str, version: str, **tags: str) -> None:
        self.held.setdefault(name, {})[version] = Version(name, version, version * 64, tags, (), "", 0)

    def names(self) -> list[str]:
        self._check()
        return sorted(self.held)

    def versions(self, name: str) -> list[Version]:
        self._check()
        return list(self.held.get(name, {}).values())

    def resolve(self, name: str, wanted: str) -> Version:
        self._check()
        number = max(self.held.get(name, {"": ""})) if wanted == "newest" else wanted
        try:
            return self.held[name][number]
        except KeyError:
            raise UnknownVersion(f"{name} has no version {wanted}") from None

    def _check(self) -> None:
        if self.is_away:
            raise RegistryError("nobody there")


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.put("face-detector", "1")
    shelf.put("face-detector", "2")
    return shelf


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={
            "MASKER_DATABASE__URL": f"sqlite:///{tmp_path}/platform.db",
            "MASKER_REGISTRY__BUNDLES_PATH": str(tmp_path / "bundles"),
            "MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/predictions.db",
            "MASKER_PREDICTIONS__SPOOL_PATH": str(tmp_path / "spool"),
            "MASKER_PREDICTIONS__PARQUET_PATH": str(tmp_path / "lake"),
            "MASKER_CAPTURE__PATH": str(tmp_path / "captures"),
        }
    )


@pytest.fixture
def serve(shelf: Shelf) -> Callable[[Settings], object]:
    """Serve the platform API over the shelf: ``with serve(settings) as control``."""

    @contextmanager
    def make(settings: Settings) -> Iterator[TestClient]:
        app = create_app(settings, Metrics(), [control_part(settings, shelf)], "control")
        with TestClient(app, HOST) as client:
            yield client

    return make


@pytest.fixture
def control(serve: Callable[[Settings], object], settings: Settings) -> Iterator[TestClient]:
    with serve(settings) as client:  # type: ignore[attr-defined]
        yield client
