"""What people wear over their faces, drawn upon a picture where the landmarks of a face lie."""

from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Landmarks = NDArray[np.float32]

# Outlines in units of the distance from eyes to mouth, from the middle of the eyes: to the image's right, and down.
_MASK: Final = ((-0.95, 0.42), (-0.35, 0.34), (0.0, 0.26), (0.35, 0.34), (0.95, 0.42), (0.82, 1.2), (0.4, 1.72))
_MASK_LEFT: Final = ((-0.4, 1.72), (-0.82, 1.2))
_PLEATS: Final = ((-0.8, 0.75), (0.8, 0.75), (-0.74, 1.05), (0.74, 1.05))
_COLOURS: Final = ((196, 214, 226), (150, 196, 206), (235, 235, 232), (40, 42, 48), (120, 160, 190))
_LENS: Final = (0.36, 0.3)
_SHADES: Final = (12.0, 45.0)
_FINE: Final = 8
"""Bits of a subpixel position in OpenCV's drawing, as a factor's logarithm."""


def wear_medical_mask(pixels: Pixels, landmarks: Landmarks, rng: Generator) -> Pixels:
    """Draw a pleated mask from the bridge of the nose to under the chin.

    Args:
        pixels: (h, w, 3) uint8 RGB; not changed.
        landmarks: (5, 2) in pixels; in a profile the mask gets narrow as the face does.
        rng: Draws the colour.
    """
    colour = np.array(_COLOURS[int(rng.integers(len(_COLOURS)))], np.float64)
    light = _light(pixels, landmarks)
    worn = _filled(pixels, _placed(np.array((*_MASK, *_MASK_LEFT)), landmarks), colour * light)
    pleats = _placed(np.array(_PLEATS), landmarks)
    for line in (pleats[:2], pleats[2:]):
        start, end = (tuple(int(v) for v in np.round(point * 2**_FINE)) for point in line)
        shade = tuple(float(v) for v in np.round(colour * light * 0.8))
        cv2.line(worn, start, end, shade, 1, cv2.LINE_AA, _FINE)
    return worn


def wear_sunglasses(pixels: Pixels, landmarks: Landmarks, rng: Generator) -> Pixels:
    """Draw two dark lenses and the bridge between them; arguments as in `wear_medical_mask`."""
    shade = np.full(3, rng.uniform(*_SHADES))
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([_LENS[0] * np.cos(angle), _LENS[1] * np.sin(angle)], axis=1)
    worn = pixels
    axes = _axes(landmarks)
    for eye in landmarks[:2].astype(np.float64):
        worn = _filled(worn, eye + (circle + np.array([0.0, 0.06])) @ axes, shade)
    right, left = landmarks[:2].astype(np.float64)
    bar = np.array([right - 0.12 * axes[1], left - 0.12 * axes[1], left + 0.02 * axes[1], right + 0.02 * axes[1]])
    return _filled(worn, bar, shade)


def _axes(landmarks: Landmarks) -> NDArray[np.float64]:
    """Two unit steps of a face (2, 2) in pixels: to the image's right, and down to the mouth."""
    points = landmarks.astype(np.float64)
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    across = points[1] - points[0]
    # Seen from the side the eyes draw together; what hangs from the ears keeps at least half its width.
    length = float(np.hypot(*down))
    side = np.array([down[1], -down[0]])
    share = float(np.clip(np.hypot(*across) / max(length, 1e-6), 0.5, 1.0))
    return np.stack([side * share, down])


def _placed(outline: NDArray[np.float64], landmarks: Landmarks) -> NDArray[np.float64]:
    points = landmarks.astype(np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    # The tip of the nose says where a turned face has its middle.
    lean = (points[2] - (eyes + mouth) / 2) * 0.4
    placed: NDArray[np.float64] = eyes + lean + outline @ _axes(landmarks)
    return placed


def _light(pixels: Pixels, landmarks: Landmarks) -> float:
    """How bright it is where the face is: cloth in the dark is dark."""
    x, y = (np.clip(np.round(landmarks[:, axis]).astype(int), 0, pixels.shape[1 - axis] - 1) for axis in (0, 1))
    return float(np.clip(pixels[y, x].mean() / 140, 0.25, 1.1))


def _filled(pixels: Pixels, outline: NDArray[np.float64], colour: NDArray[np.float64]) -> Pixels:
    drawn = pixels.copy()
    corners = np.round(outline * 2**_FINE).astype(np.int32)
    level = tuple(float(v) for v in np.clip(np.round(colour), 0, 255))
    cv2.fillPoly(drawn, [corners], level, cv2.LINE_AA, _FINE)
    return drawn
