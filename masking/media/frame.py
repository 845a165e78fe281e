"""One picture of a moving one, as the stages that look at it need it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Frame(Protocol):
    """A frame of a video or a live stream; what it shows stays the same while it is looked at."""

    @property
    def index(self) -> int:
        """Number from 0 in the order of presentation."""

    @property
    def seconds(self) -> float:
        """Time of presentation from the start of the stream."""

    @property
    def width(self) -> int:
        """Columns of the upright picture."""

    @property
    def height(self) -> int:
        """Rows of the upright picture."""

    @property
    def luma(self) -> NDArray[np.uint8]:
        """(h, w) uint8 brightness of the upright picture, in whatever range the stream has."""

    def rgb(self, scale: float = 1.0) -> NDArray[np.uint8]:
        """Give (round(h * scale), round(w * scale), 3) uint8 RGB of the upright picture, each side at least 1."""
