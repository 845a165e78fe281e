"""One look of a detector at a picture: at another size, turned or mirrored, told in the picture's own pixels."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.detectors import Detector
from masking.face.tiles import MAX_PIXELS, detect
from masking.types import Faces

MIRRORED = [1, 0, 2, 4, 3]
"""The person's right eye and mouth corner become the left ones in a mirror."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How a picture is shown to the detector.

    Attributes:
        scale: Size relative to the picture, above 0.
        quarters: Quarter turns counter-clockwise, 0 to 3.
        mirrored: Whether left and right are swapped, after turning.
    """

    scale: float = 1.0
    quarters: int = 0
    mirrored: bool = False

    def area(self, pixels: NDArray[np.uint8]) -> float:
        """Give how many pixels the detector sees of (h, w, 3)."""
        return float(pixels.shape[0] * pixels.shape[1] * self.scale**2)


def look(pixels: NDArray[np.uint8], detector: Detector, shown: Pass, threshold: float) -> Faces:
    """Find faces in a picture shown in one way.

    Args:
        pixels: (h, w, 3) uint8 RGB, upright.
        detector: What finds faces in one piece; a pass larger than `MAX_PIXELS` is shown in tiles.
        shown: Size, turn and mirroring.
        threshold: In (0, 1).

    Returns:
        Boxes and landmarks in the pixels of the picture as it was given.

    Raises:
        ModelError: The detector failed.
    """
    sized = resize(pixels, shown.scale)
    seen = np.rot90(sized, shown.quarters)
    seen = np.ascontiguousarray(seen[:, ::-1] if shown.mirrored else seen)
    found = detect(seen, detector, threshold)
    points = np.concatenate([found.boxes.reshape(-1, 2, 2), found.landmarks], axis=1)
    if shown.mirrored:
        points[..., 0] = seen.shape[1] - points[..., 0]
    points = _turned_back(points, shown.quarters, sized.shape[1], sized.shape[0])
    points *= np.array([pixels.shape[1] / sized.shape[1], pixels.shape[0] / sized.shape[0]], np.float32)
    boxes = np.concatenate([points[:, :2].min(axis=1), points[:, :2].max(axis=1)], axis=1)
    landmarks = points[:, 2:][:, MIRRORED] if shown.mirrored else points[:, 2:]
    return Faces(boxes, found.scores, landmarks)


def resize(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Scale (h, w, 3) uint8, each side to at least one pixel: by area when shrinking, else bilinear."""
    if scale == 1:
        return pixels
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def bounded(passes: tuple[Pass, ...], pixels: NDArray[np.uint8]) -> tuple[Pass, ...]:
    """Choose of some passes those that a picture of its size can afford, full size always among them.

    A pass that magnifies or turns is left out where the detector would see more than `MAX_PIXELS`.
    """
    return tuple(
        shown
        for shown in passes
        if (shown.scale < 1 and not shown.quarters) or shown == Pass() or shown.area(pixels) <= MAX_PIXELS
    )


def _turned_back(points: NDArray[np.float32], quarters: int, width: int, height: int) -> NDArray[np.float32]:
    """Undo quarter turns counter-clockwise of a picture that is ``width`` x ``height`` before turning."""
    x, y = points[..., 0], points[..., 1]
    back = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarters]
    return np.stack(back, axis=-1)
