"""Slices of detection: the same labelled pictures seen again as cameras and people also make them.

Each takes a picture and its labels and gives both anew, so that a detector that is good on the mean and bad in one
condition cannot hide it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from masking.face.procedural.accessories import wear_medical_mask, wear_sunglasses
from masking.face.procedural.scene import develop

DARK_EXPOSURE = (0.06, 0.15)
DARK_NOISE = (3.0, 6.0)
BLUR_PX = (1.2, 2.2)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A picture (h, w, 3) uint8 RGB, with boxes (n, 4) and landmarks (n, 5, 2) float32 in px; unknown ones are NaN."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]


Retake = Callable[[Labelled, Generator], Labelled]
"""Takes a labelled picture again in another condition."""


def turned(quarters: int) -> Retake:
    """Give the retake that turns a picture clockwise by so many quarters of a turn, as a tilted camera would."""

    def retake(scene: Labelled, _: Generator) -> Labelled:
        height, width = scene.pixels.shape[:2]
        corners, points = scene.boxes.reshape(-1, 2, 2), scene.landmarks
        for _turn in range(quarters % 4):
            corners, points = (np.stack([height - each[..., 1], each[..., 0]], axis=-1) for each in (corners, points))
            height, width = width, height
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
        return Labelled(np.ascontiguousarray(np.rot90(scene.pixels, -quarters)), boxes, points.astype(np.float32))

    return retake


def dark(scene: Labelled, rng: Generator) -> Labelled:
    """Take the picture with a tenth of its light, and the noise of a camera that makes up for it."""
    exposure, noise = rng.uniform(*DARK_EXPOSURE), rng.uniform(*DARK_NOISE)
    return replace(scene, pixels=develop(scene.pixels, float(exposure), 0.0, float(noise), rng))


def blurred(scene: Labelled, rng: Generator) -> Labelled:
    """Take the picture out of focus."""
    soft = cv2.GaussianBlur(scene.pixels, (0, 0), float(rng.uniform(*BLUR_PX)))
    return replace(scene, pixels=np.asarray(soft, np.uint8))


def covered(scene: Labelled, rng: Generator) -> Labelled:
    """Put a medical mask on every face whose landmarks are known; the labels of all others are left out."""
    return _worn(scene, rng, wear_medical_mask)


def shaded(scene: Labelled, rng: Generator) -> Labelled:
    """Put sunglasses on every face whose landmarks are known; the labels of all others are left out."""
    return _worn(scene, rng, wear_sunglasses)


SLICES: Mapping[str, Retake] = MappingProxyType(
    {
        "turned_90": turned(1),
        "turned_180": turned(2),
        "turned_270": turned(3),
        "medical_mask": covered,
        "sunglasses": shaded,
        "dark": dark,
        "blurred": blurred,
    }
)


def _worn(
    scene: Labelled,
    rng: Generator,
    wear: Callable[[NDArray[np.uint8], NDArray[np.float32], Generator], NDArray[np.uint8]],
) -> Labelled:
    known = np.isfinite(scene.landmarks).all(axis=(1, 2))
    pixels = scene.pixels
    # The smallest face is the farthest: what is worn by a nearer one lies over it.
    for landmarks in sorted(scene.landmarks[known], key=lambda points: float(np.ptp(points, axis=0).prod())):
        pixels = wear(pixels, landmarks, rng)
    return Labelled(pixels, scene.boxes[known], scene.landmarks[known])
