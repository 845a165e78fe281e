"""The judge over real captures: the hopper's face, masked by the product, and not."""

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from masking.errors import ModelError
from masking.face.detectors.centerface import CenterFace
from masking.media.probe import ImageLimits
from masking.onnx import open_session
from masking.pipeline import mask_image
from masking.policy import Policy
from mlops.predictions.capture_file import MASKED, Capture, write_captures
from mlops.predictions.recorder import database_of
from mlops.predictions.row import Prediction, new_identity
from mlops.predictions.store import PredictionStore
from mlops.predictions.writer import Writer
from mlops.redis import Seal
from mlops.settings import load_settings
from services.worker.judging import CaptureJudge

LIMITS = ImageLimits(1 << 25, 64_000_000, 16384)
SEAL = Seal(b"k" * 32)


@pytest.fixture(scope="module")
def eye(fp32_graph: Path) -> CenterFace:
    return CenterFace(open_session(fp32_graph))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PredictionStore]:
    settings = load_settings(environ={"MASKER_PREDICTIONS__URL": f"sqlite:///{tmp_path}/p.db"})
    database = database_of(settings.predictions)
    yield PredictionStore(database)
    database.close()


def judged(store: PredictionStore, since: float = 0.0) -> tuple[int, int]:
    window = store.windows("faces", since, time.time() + 60)["champion", "1"]
    return window.judged, window.open_found


def captured(output: bytes, boxes: NDArray[np.float32], style: str = "solid") -> Capture:
    return Capture(
        new_identity(), time.time(), "faces", "m", "1", "champion", {"boxes": boxes}, output, "image/jpeg",
        {"style": style},
    )  # fmt: skip


@pytest.fixture
def look(tmp_path: Path, store: PredictionStore, eye: CenterFace):
    folder = tmp_path / "captures"
    folder.mkdir()

    def look_at(*captures: Capture) -> tuple[int, int]:
        rows = [Prediction(each.identity, each.time, "faces", "m", "1", "champion", "", "", "", "ok", 200, 0.1)
                for each in captures]  # fmt: skip
        Writer(store.database).insert(rows)
        if captures:
            write_captures(folder, captures, MASKED, SEAL, time.time(), 100)
        collectors = CollectorRegistry()
        CaptureJudge(folder, store, lambda: eye, LIMITS, lambda: SEAL, collectors).look()
        look_at.collectors = collectors
        return judged(store)

    return look_at


@pytest.mark.parametrize("style", ["solid", "pixelate", "blur"])
def test_a_masked_face_does_not_show(look, hopper: bytes, eye: CenterFace, style: str) -> None:
    masked = mask_image(hopper, Policy(style, 0.2, "fast"), eye, LIMITS)
    assert len(masked.faces) == 1
    assert look(captured(masked.data, masked.faces.boxes)) == (1, 0)


def test_a_face_that_nobody_masked_shows(look, hopper: bytes) -> None:
    assert look(captured(hopper, np.zeros((0, 4), np.float32))) == (1, 1)
    labels = {"endpoint": "faces", "variant": "champion"}
    for found, faces in (("open", 1), ("covered", 0)):
        assert look.collectors.get_sample_value("masker_judged_faces_total", labels | {"found": found}) == faces


def test_a_second_face_that_was_missed_shows(look, photo_pixels: NDArray[np.uint8], eye: CenterFace) -> None:
    both = np.concatenate([photo_pixels, photo_pixels], axis=1)
    masked = mask_image(
        cv2.imencode(".png", cv2.cvtColor(both, cv2.COLOR_RGB2BGR))[1].tobytes(), Policy("solid", 0.2, "fast"), eye,
        LIMITS,
    )  # fmt: skip
    assert len(masked.faces) == 2
    # What a detector that sees the left half alone would have made of it.
    left = masked.faces.boxes[masked.faces.boxes[:, 0] < photo_pixels.shape[1]]
    half = both.copy()
    done = cv2.cvtColor(cv2.imdecode(np.frombuffer(masked.data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    half[:, : photo_pixels.shape[1]] = done[:, : photo_pixels.shape[1]]
    output = cv2.imencode(".png", cv2.cvtColor(half, cv2.COLOR_RGB2BGR))[1].tobytes()
    assert look(captured(output, left)) == (2, 1)


def test_each_capture_is_judged_once(look, hopper: bytes) -> None:
    one = captured(hopper, np.zeros((0, 4), np.float32))
    assert look(one) == (1, 1)
    assert look() == (1, 1)
    assert look(one) == (1, 1)


def test_what_cannot_be_judged_is_not(look, hopper: bytes) -> None:
    nobody = np.zeros((0, 4), np.float32)
    tensors = Capture(new_identity(), time.time(), "faces", "m", "1", "champion", {"x": nobody}, {"y": nobody})
    assert look(captured(b"no picture", nobody), captured(hopper, nobody, "surrogate"), tensors) == (0, 0)


def test_without_a_model_captures_wait(tmp_path: Path, store: PredictionStore, look, hopper: bytes, eye) -> None:
    folder = tmp_path / "captures"
    one = captured(hopper, np.zeros((0, 4), np.float32))
    write_captures(folder, [one], MASKED, SEAL, time.time(), 100)

    def nothing() -> CenterFace:
        raise ModelError("there is no champion yet")

    CaptureJudge(folder, store, nothing, LIMITS, lambda: SEAL, CollectorRegistry()).look()
    CaptureJudge(folder, store, lambda: eye, LIMITS, lambda: SEAL, CollectorRegistry()).look()
    Writer(store.database).insert(
        [Prediction(one.identity, one.time, "faces", "m", "1", "champion", "", "", "", "ok", 200, 0.1)]
    )
    assert judged(store) == (1, 1)


def test_a_generic_model_with_boxes_keeps_no_picture_from_being_judged(look, hopper: bytes) -> None:
    boxes = np.zeros((0, 4), np.float32)
    generic = Capture(
        new_identity(), time.time(), "tabular", "m", "1", "champion", {"boxes": boxes}, {"label": np.ones(1)}
    )
    assert look(generic, captured(hopper, boxes)) == (1, 1)
