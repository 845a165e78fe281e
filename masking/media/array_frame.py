"""A frame that is an array already: of a live stream, or made by a test."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ArrayFrame:
    """A `Frame` over pixels in memory.

    Attributes:
        index: Its number, from 0.
        seconds: When it is presented, from the start of the stream.
        pixels: (h, w, 3) uint8 RGB, upright; never changed.
    """

    index: int
    seconds: float
    pixels: NDArray[np.uint8]

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return int(self.pixels.shape[0])

    @cached_property
    def luma(self) -> NDArray[np.uint8]:
        """(h, w) uint8 brightness."""
        return cast(NDArray[np.uint8], cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY))

    def rgb(self, scale: float = 1.0) -> NDArray[np.uint8]:
        """Give (round(h * scale), round(w * scale), 3) uint8 RGB of the upright picture, each side at least 1."""
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        if size == (self.width, self.height):
            return self.pixels
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return cast(NDArray[np.uint8], cv2.resize(self.pixels, size, interpolation=interpolation))
