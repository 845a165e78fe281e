"""Surrogates made of photos: each the average of at least k people, so that it shows none of them more than k others.

The k-same family (Newton, Sweeney and Malin, TKDE 17, 2005), with the members of each average drawn at random and not
chosen for their likeness to anybody: an average that lies near one person would name the neighbourhood.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.errors import ModelError
from masking.face.surrogates.sprite import Look, Points, Sprite

K: Final = 20
"""Fewest people in an average, unless more are asked for."""
SIDE_PX: Final = 128
_FORMAT: Final = 1
_EYES, _MOUTH = 0.40, 0.64
TEMPLATE: Final = np.array([[0.38, _EYES], [0.62, _EYES], [0.5, 0.53], [0.405, _MOUTH], [0.595, _MOUTH]], np.float32)
"""Where the landmarks lie in an average, in shares of its side."""
BOX: Final = np.array([0.27, 0.23, 0.73, 0.80], np.float32)
"""The face in the same shares, as detectors box it."""
_SHARPEN: Final = 0.6


class TooFewPeople(ValueError):
    """There are fewer people than an average must hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Averages:
    """What is stored of the people: no picture of any one of them.

    Attributes:
        pixels: (n, side, side, 3) uint8 RGB, aligned to `TEMPLATE`.
        people: (n,) int64, how many different people each is the average of.
        k: Fewest people that were allowed; every entry of ``people`` is at least as large.
    """

    pixels: NDArray[np.uint8]
    people: NDArray[np.int64]
    k: int

    def __post_init__(self) -> None:
        n, side = len(self.people), self.pixels.shape[1] if self.pixels.ndim == 4 else 0
        if n < 1 or self.pixels.shape != (n, side, side, 3) or self.pixels.dtype != np.uint8 or side < 16:
            raise ValueError(f"averages of shape {self.pixels.shape} do not fit {n} counts of people")
        if self.k < 2 or self.people.min() < self.k:
            raise TooFewPeople(f"an average holds {self.people.min()} people, at least {max(self.k, 2)} are needed")

    def save(self, path: Path) -> None:
        """Write the file that `load` reads."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, pixels=self.pixels, people=self.people, k=np.int64(self.k), format=np.int64(_FORMAT))

    @classmethod
    def load(cls, data: Path | bytes, *, k: int = K) -> Self:
        """Read a file of averages.

        Args:
            data: The file, or its bytes.
            k: Fewest people that each average must hold.

        Raises:
            ModelError: It is no such file, or an average holds fewer people.
        """
        try:
            with np.load(io.BytesIO(data) if isinstance(data, bytes) else data, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise ModelError("the surrogates have a form that is unknown here")
                return cls(file["pixels"], file["people"].astype(np.int64), max(int(file["k"]), k))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ModelError(f"the surrogates cannot be used: {error}") from error


class AverageBank:
    """A bank of averages: frontal; what else a look asks for is not kept."""

    def __init__(self, averages: Averages) -> None:
        """Cut the head out of each average, softly."""
        side = averages.pixels.shape[1]
        self._poses: tuple[Points, ...] = (TEMPLATE * side,)
        self._sprites = [
            Sprite(np.dstack([np.round(each * alpha[..., None]), 255 * alpha]).astype(np.uint8), BOX * side, pose)
            for alpha, pose in [(_outline(side), self._poses[0])]
            for each in averages.pixels
        ]

    @property
    def poses(self) -> Sequence[Points]:
        """The frontal pose alone."""
        return self._poses

    def sprite(self, draw: int, look: Look) -> Sprite:
        """Give one of the averages."""
        return self._sprites[draw % len(self._sprites)]


def average(
    crops: Sequence[NDArray[np.uint8]],
    landmarks: Sequence[Points],
    people: Sequence[str],
    *,
    count: int,
    k: int = K,
    seed: int = 0,
) -> Averages:
    """Average aligned photos, one of each of k people who are drawn anew for each average.

    Args:
        crops: Photos (h, w, 3) uint8 RGB.
        landmarks: (5, 2) of each, in pixels.
        people: Who is in each.
        count: How many averages to make.
        k: How many people each is made of, at least 2.
        seed: Of the draws; equal arguments give equal averages.

    Raises:
        TooFewPeople: There are fewer than k.
        ValueError: The sequences differ in length, or ``count`` is less than 1.
    """
    if not len(crops) == len(landmarks) == len(people) or count < 1:
        raise ValueError(f"{len(crops)} photos, {len(landmarks)} sets of landmarks and {len(people)} names do not fit")
    names = sorted(set(people))
    if len(names) < max(k, 2):
        raise TooFewPeople(f"{len(names)} people are too few: an average needs {max(k, 2)}")
    of = {name: [index for index, who in enumerate(people) if who == name] for name in names}
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        total = np.zeros((SIDE_PX, SIDE_PX, 3), np.float64)
        for name in rng.permutation(names)[:k]:
            index = int(rng.choice(of[str(name)]))
            total += aligned(crops[index], landmarks[index])
        made.append(_sharpened((total / k).astype(np.float32)))
    return Averages(np.stack(made), np.full(count, k, np.int64), k)


def aligned(crop: NDArray[np.uint8], landmarks: Points) -> NDArray[np.uint8]:
    """Turn, scale and shift a photo so that its landmarks lie on the template; beyond it its edge is repeated."""
    matrix, _ = cv2.estimateAffinePartial2D(landmarks, TEMPLATE * SIDE_PX, method=cv2.LMEDS)
    if matrix is None:
        raise ValueError("the landmarks lie in one point")
    warped = cv2.warpAffine(crop, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _sharpened(mean: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give an average back some of the contrast that averaging takes."""
    soft = cv2.GaussianBlur(mean, (0, 0), SIDE_PX / 40)
    return np.clip(np.round(mean + _SHARPEN * (mean - soft)), 0, 255).astype(np.uint8)


def _outline(side: int) -> NDArray[np.float32]:
    """Alpha (side, side) of a head: an ellipse about the box that fades over a few pixels."""
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    middle, half = (BOX[:2] + BOX[2:]) / 2, (BOX[2:] - BOX[:2]) / 2
    u, v = (place - middle[0]) / (half[0] * 1.28), (place - middle[1]) / (half[1] * 1.32)
    radius = np.sqrt(u[None, :] ** 2 + v[:, None] ** 2)
    return np.asarray(np.clip((1.06 - radius) / 0.12, 0, 1), np.float32)
