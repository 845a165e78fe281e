"""What the stack tests share: the running stack, seen through its proxy and through the engine."""

import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
HOST = "http://127.0.0.1"


def _compose(*arguments: str, timeout: float = 600) -> str:
    done = subprocess.run(
        ["docker", "compose", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stderr[-2000:]}{done.stdout[-2000:]}"
    return done.stdout


def _until(question: Callable[[], Any], seconds: float = 300) -> Any:
    # Many times what anything takes: a busy machine is no fault of the stack's.
    end = time.monotonic() + seconds
    while True:
        try:
            answer = question()
        except httpx2.TransportError:
            answer = None
        if answer:
            return answer
        assert time.monotonic() < end, f"not so within {seconds} s: {question}"
        time.sleep(0.5)


@pytest.fixture(scope="session")
def compose() -> Callable[..., str]:
    """Run ``docker compose`` in the project and return what it prints."""
    return _compose


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Ask until the answer is true, and return it; connections that fail count as no answer."""
    return _until


@pytest.fixture(scope="session")
def containers() -> Callable[[], list[dict[str, Any]]]:
    """List the stack's containers, stopped ones too."""
    return lambda: [json.loads(line) for line in _compose("ps", "--all", "--format", "json").splitlines()]


@pytest.fixture(scope="session")
def proxy() -> Iterator[httpx2.Client]:
    """Talk to the service as a caller does; a model must serve before any test starts."""
    with _client("STACK_PROXY_PORT", 8080) as client:
        _until(lambda: _ready(client))
        yield client


@pytest.fixture(scope="session")
def ready(proxy: httpx2.Client) -> Callable[[], bool]:
    """Say whether every replica has a model; the proxy asks them in turn."""
    return lambda: _ready(proxy)


def _ready(client: httpx2.Client) -> bool:
    return all(client.get("/readyz").status_code == 200 for _ in range(8))


def _client(port_variable: str, port: int) -> httpx2.Client:
    return httpx2.Client(base_url=f"{HOST}:{os.environ.get(port_variable, port)}", timeout=120)


@pytest.fixture(scope="session")
def prometheus() -> Iterator[httpx2.Client]:
    with _client("STACK_PROMETHEUS_PORT", 9090) as client:
        yield client


@pytest.fixture(scope="session")
def mlflow() -> Iterator[httpx2.Client]:
    with _client("STACK_MLFLOW_PORT", 5000) as client:
        yield client


@pytest.fixture(scope="session")
def grafana() -> Iterator[httpx2.Client]:
    with _client("STACK_GRAFANA_PORT", 3000) as client:
        yield client


@pytest.fixture(scope="session")
def alertmanager() -> Iterator[httpx2.Client]:
    with _client("STACK_ALERTMANAGER_PORT", 9093) as client:
        yield client


@pytest.fixture(scope="session")
def new_photo() -> Callable[[], bytes]:
    """Give a real photo of one face that no cache has seen: its lowest rows hold new noise each time."""
    return _new_photo


@pytest.fixture
def photo() -> bytes:
    return _new_photo()


def _new_photo() -> bytes:
    spec = find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    with Image.open(Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg") as image:
        pixels = np.array(image.convert("RGB"))
    pixels[-8:] = np.random.default_rng().integers(0, 256, pixels[-8:].shape, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()
