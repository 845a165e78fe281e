"""What is covered in a frame that nobody looked at: boxes between two sightings, and boxes that grow with doubt."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Box = NDArray[np.float32]
How = Literal["detected", "tracked", "interpolated", "held", "extended"]

GROWTH_PER_FRAME = 0.02
GROWTH_DISTRUST = 0.2
MOST_GROWTH = 0.5
LEAST_INSIDE = 0.05
_OUTWARD = np.array([[1, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]], np.float32)
"""Turns a box into what each of its sides moves by if it grows by its whole width and height to either side."""


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """A face to cover in one frame.

    Attributes:
        box: (4,) float32 in pixels, grown by the doubt.
        landmarks: (5, 2) float32 in pixels.
        score: The detector's, at the sighting that this stands on.
        how: ``detected`` in this very frame; ``interpolated`` between two sightings; ``tracked`` from the last one;
            ``held`` where a look did not find it; ``extended`` back from its first sighting.
    """

    box: Box
    landmarks: NDArray[np.float32]
    score: float
    how: How


def grown(box: Box, frames: int, trust: float) -> Box:
    """Grow a box for the frames that lie between it and the nearest sighting, and for flow that is not trusted."""
    by = min(MOST_GROWTH, GROWTH_PER_FRAME * frames + GROWTH_DISTRUST * (1 - trust))
    return np.asarray(box + np.float32(by / 2) * (box @ _OUTWARD), np.float32)


def between(followed: Box, end: Box, seen: Box, share: float) -> Box:
    """Correct a box that the flow gave by what was seen at the end, and take in both.

    Args:
        followed: Where the flow puts the box in this frame.
        end: Where it puts the box in the frame of the later sighting.
        seen: Where it was seen there.
        share: This frame's place between the sightings, 0 to 1.
    """
    corrected = followed + np.float32(share) * (seen - end)
    return np.concatenate([np.minimum(followed[:2], corrected[:2]), np.maximum(followed[2:], corrected[2:])])


def inside(box: Box, width: int, height: int) -> float:
    """Give the share of a box that lies in the picture."""
    x1, y1, x2, y2 = box.tolist()
    area = max(x2 - x1, 0.0) * max(y2 - y1, 0.0)
    shown = max(min(x2, width) - max(x1, 0.0), 0.0) * max(min(y2, height) - max(y1, 0.0), 0.0)
    return shown / area if area > 0 else 0.0
