import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib as mpl
import mlflow
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from masking.face.detectors.centerface import CenterFace
from masking.face.surrogates import Averages
from masking.onnx import open_session
from mlops import database
from mlops.predictions import analysis, recorder
from mlops.registry.bundle import open_bundle, write_manifest
from pipelines.import_base import modernise, read_base
from pipelines.params import Train
from pipelines.train import GRAPHS, train
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parent.parent

# The same examples each time, however slow the machine: a change fails, never the day. Who looks for new examples asks
# for them: `pytest --hypothesis-profile=search`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.register_profile(
    "same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _unhurried() -> Iterator[None]:
    """However busy the machine: a database that is there is waited for, and so is a process that begins."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "BUSY_MILLISECONDS", int(1000 * PATIENCE_SECONDS))
        patched.setattr(recorder, "END_SECONDS", PATIENCE_SECONDS)
        patched.setattr(analysis, "START_SECONDS", PATIENCE_SECONDS)
        yield


@pytest.fixture(autouse=True)
def _no_more_urgent() -> Iterator[None]:
    """No test leaves this process scheduled in real time: those behind it, and what they start, would starve others."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(scope="session")
def published_graph() -> onnx.ModelProto:
    return read_base(ROOT / "data/base/centerface.onnx")


@pytest.fixture(scope="session")
def fp32_graph(published_graph: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = onnx.ModelProto()
    copy.CopyFrom(published_graph)
    path = tmp_path_factory.mktemp("graph") / "fp32.onnx"
    onnx.save_model(modernise(copy), path)
    return path


@pytest.fixture(scope="session")
def detector(fp32_graph: Path) -> CenterFace:
    return CenterFace(open_session(fp32_graph))


@pytest.fixture(scope="session")
def hopper() -> bytes:
    """A real photo of one person that an installed package ships."""
    return (Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg").read_bytes()


@pytest.fixture(scope="session")
def photo_pixels(hopper: bytes) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(hopper, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="session")
def trained(fp32_graph: Path, photo_pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as the stage `train` makes it, calibrated on a few sizes of one photo."""
    pictures = [photo_pixels, *(cv2.resize(photo_pixels, (side, side)) for side in (96, 160, 224))]
    folder = tmp_path_factory.mktemp("trained") / "model"
    train(
        fp32_graph,
        [np.asarray(each) for each in pictures],
        folder,
        "face-detector",
        Train(calibration_images=4, least_images=4),
    )
    return folder


@pytest.fixture(scope="session")
def averages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of averages as the stage `surrogates` makes it; all of them are green, which nobody is."""
    path = tmp_path_factory.mktemp("surrogates") / "surrogates.npz"
    pixels = np.full((3, 64, 64, 3), (20, 200, 20), np.uint8)
    Averages(pixels, np.full(3, 20, np.int64), 20).save(path)
    return path


@pytest.fixture(scope="session")
def trained_with_averages(trained: Path, averages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained bundle with these averages in it."""
    folder = tmp_path_factory.mktemp("trained") / "with-averages"
    shutil.copytree(trained, folder)
    shutil.copyfile(averages, folder / "surrogates.npz")
    write_manifest(folder, "face-detector", "centerface", GRAPHS, "golden.npz", "surrogates.npz")
    return folder


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that nobody listens on, and that nobody is given; a server of the test may take it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@pytest.fixture
def logged_digest(trained: Path) -> str:
    return open_bundle(trained, "1").digest


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a registry with nothing in it: to make its tables takes seconds, to copy them none."""
    file = tmp_path_factory.mktemp("registry") / "mlflow.db"
    mlflow.set_tracking_uri(f"sqlite:///{file}")
    mlflow.search_registered_models()
    return file


@pytest.fixture
def logged_run(empty_registry: Path, trained: Path, tmp_path: Path) -> str:
    """A run in `mlflow.db` of the test's folder that has logged the trained bundle."""
    shutil.copyfile(empty_registry, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("made", (tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("made")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(trained), "bundle")
    return str(run.info.run_id)
