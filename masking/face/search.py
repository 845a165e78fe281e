"""The search for faces in one picture: how many looks are taken, and which of the found faces stay.

`python -m benchmarks.faces` measures both efforts; docs/decisions/0006-search-passes-and-second-look.md has the why.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from masking.face.detectors import Detector
from masking.face.fusion import FLOOR, fitted, fuse
from masking.face.passes import Pass, bounded, look
from masking.types import Faces

OVERVIEW_PIXELS = 300_000
"""Of pictures too large for a quarter of their size to show the largest faces, one more look has this many pixels."""

EFFORTS: tuple[str, ...] = ("thorough", "fast")
PASSES: Mapping[str, tuple[Pass, ...]] = MappingProxyType(
    {
        "thorough": (
            Pass(),
            Pass(1.5),
            Pass(0.5),
            Pass(0.25, mirrored=True),
            *(Pass(0.25, quarters) for quarters in (1, 2, 3)),
        ),
        "fast": (Pass(), Pass(0.25)),
    }
)
SHARPNESS: Mapping[str, float] = MappingProxyType({"thorough": 1.16, "fast": 1.14})
"""Scores are raised to this power: the more looks, the more boxes there are by chance at every score."""


def search(pixels: NDArray[np.uint8], detector: Detector, threshold: float, effort: str) -> Faces:
    """Find the faces of one picture of any size with several looks at it, at bounded memory.

    Args:
        pixels: (h, w, 3) uint8 RGB, upright.
        detector: What finds faces in one piece.
        threshold: In (0, 1); a lower one finds all that a higher one finds, and more.
        effort: One of `EFFORTS`: thorough for photos, fast for live pictures and video.

    Raises:
        ModelError: The detector failed on any look.
        ValueError: There is no such effort.
    """
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    power = SHARPNESS[effort]
    least = min(FLOOR, threshold ** (1 / power))
    found = fuse([look(pixels, detector, shown, least) for shown in looks(pixels, effort)])
    sure = Faces(found.boxes, found.scores**power, found.landmarks)
    return fitted(sure[sure.scores >= threshold], pixels.shape[1], pixels.shape[0])


def looks(pixels: NDArray[np.uint8], effort: str) -> tuple[Pass, ...]:
    """Give the passes that an effort takes over a picture of this size."""
    chosen = bounded(PASSES[effort], pixels)
    overview = float((OVERVIEW_PIXELS / (pixels.shape[0] * pixels.shape[1])) ** 0.5)
    return (*chosen, Pass(overview)) if overview < min(shown.scale for shown in chosen) else chosen
