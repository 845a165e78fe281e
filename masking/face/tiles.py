"""Detection over pictures of any size at bounded memory: large ones are seen once as a whole and once in tiles."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.detectors import Detector
from masking.face.detectors.centerface import NMS_IOU, suppress
from masking.types import Faces

MAX_PIXELS = 4_000_000
TILE_PX = 1536
OVERLAP_PX = 256


def detect(pixels: NDArray[np.uint8], detector: Detector, threshold: float) -> Faces:
    """Find the faces of one picture, at full resolution whatever its size.

    Up to `MAX_PIXELS` the picture is seen in one piece. Above, small faces are found in overlapping tiles, and large
    ones, which a tile would cut, in the whole picture shrunk to `MAX_PIXELS`.

    Args:
        pixels: (h, w, 3) uint8 RGB, upright.
        detector: What finds faces in one piece.
        threshold: In (0, 1).

    Raises:
        ModelError: The detector failed on any piece.
    """
    height, width = pixels.shape[:2]
    if height * width <= MAX_PIXELS:
        return detector(pixels, threshold)
    scale = (MAX_PIXELS / (height * width)) ** 0.5
    shrunk = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    size = np.array([width / shrunk.shape[1], height / shrunk.shape[0]], np.float32)
    found = [_moved(detector(np.asarray(shrunk, np.uint8), threshold), size, np.zeros(2, np.float32))]
    one = np.ones(2, np.float32)
    for top in starts(height):
        for left in starts(width):
            piece = np.ascontiguousarray(pixels[top : top + TILE_PX, left : left + TILE_PX])
            found.append(_moved(detector(piece, threshold), one, np.array([left, top], np.float32)))
    return merge(found)


def starts(side: int) -> Iterator[int]:
    """Yield where tiles begin along a side of ``side`` pixels: evenly, at least `OVERLAP_PX` shared, all covered."""
    count = max(1, -(-(side - OVERLAP_PX) // (TILE_PX - OVERLAP_PX)))
    for index in range(count):
        yield round(index * (side - TILE_PX) / (count - 1)) if count > 1 else 0


def merge(parts: list[Faces]) -> Faces:
    """Join what several looks at one picture found; one that overlaps a surer one by an IoU of .3 is the same face."""
    joined = Faces(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )
    return suppress(joined, NMS_IOU)


def _moved(faces: Faces, scale: NDArray[np.float32], shift: NDArray[np.float32]) -> Faces:
    boxes = (faces.boxes.reshape(-1, 2, 2) * scale + shift).reshape(-1, 4)
    landmarks = faces.landmarks * scale + shift
    return Faces(boxes.astype(np.float32), faces.scores, landmarks.astype(np.float32))
