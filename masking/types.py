"""The values that travel between the stages of the pipeline."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(h, w) grey, (h, w, 2) grey and alpha, (h, w, 3) RGB, or (h, w, 4) RGB and alpha; full range of the dtype."""


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """What a detector found in one image, surest first.

    Attributes:
        boxes: (n, 4) float32, ``x1, y1, x2, y2`` in pixels of the upright image, ``x1 < x2`` and ``y1 < y2``.
        scores: (n,) float32 in [0, 1], descending.
        landmarks: (n, 5, 2) float32, ``x, y`` of right eye, left eye, nose, right and left mouth corner
            (the person's right is the image's left), in pixels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.landmarks.shape != (n, 5, 2):
            raise ValueError(f"{n} scores do not fit boxes {self.boxes.shape} and landmarks {self.landmarks.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Self:
        return type(self)(self.boxes[index], self.scores[index], self.landmarks[index])

    @classmethod
    def none(cls) -> Self:
        """No face at all."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))
