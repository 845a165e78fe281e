"""A detector and a registry of faces that tests steer, and pictures that they find something in."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.loading import LoadedModel
from masking.face.maskers import MASKERS, Masker
from masking.types import Faces
from mlops.rollout.traffic import Split, Variant
from tests.patience import PATIENCE_SECONDS

BRIGHT, DIM = 245, 215


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
        assert self.gate.wait(PATIENCE_SECONDS)
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
        assert await asyncio.to_thread(self.calls.acquire, timeout=PATIENCE_SECONDS)


@dataclass
class Registry:
    """Where the app gets its models from; a test changes ``version``, or the loader."""

    detector: BrightSpots
    version: str | None = "1"
    error: Exception | None = None
    stamp_error: Exception | None = None
    loads: int = 0
    looks: int = 0
    maskers: Mapping[str, Masker] = field(default_factory=lambda: MASKERS)
    beside: Variant | None = None
    detectors: dict[str, BrightSpots] = field(default_factory=dict)

    def stamp(self) -> str | None:
        self.looks += 1
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


def draw(suffix: str = ".jpg", faces: int = 2, width: int = 320, height: int = 240) -> bytes:
    """A dark picture with bright spots, as a file of that kind."""
    pixels = np.random.default_rng(7).integers(20, 90, (height, width, 3), np.uint8)
    shades = [(level,) * 3 for level in np.linspace(BRIGHT, DIM, faces)]
    for index in range(faces):
        cv2.ellipse(pixels, (60 + 100 * index, height // 2), (24, 32), 0, 0, 360, shades[index], -1)
    return bytes(cv2.imencode(suffix, pixels)[1])
