"""Surrogate: each head is replaced by an artificial one, in about the same pose and place."""

from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed
from masking.face.surrogates.drawn import DrawnBank
from masking.face.surrogates.scenery import Scenery, rgb_of, scenery
from masking.face.surrogates.sprite import Bank, Look, Placing, Sprite, nearest_pose, place, swayed
from masking.types import Pixels

RING: Final = 0.02
"""Width of the ring in which a surrogate fades into the picture, in widths of the face."""
_RING_STEPS: Final = 2
GROUND: Final = 110.0
"""Level around a surrogate's head, the same for everybody."""
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)

Colours = NDArray[np.uint8]
_Scalar = TypeVar("_Scalar", np.uint8, np.float32)


class Surrogate:
    """A masker that draws from a bank.

    What is painted depends on nothing behind the mask but the face's box and landmarks, one or two numbers of bins
    (`Look`) and two of the picture (`Scenery`): people with the same ones get the same pixels, to the bit. In a thin
    ring at the edge of the mask the surrogate fades into the nearest pixels beside it, which anybody can see.
    """

    def __init__(self, bank: Bank) -> None:
        """Take what is drawn from."""
        self._bank = bank

    def __call__(self, patch: Pixels, face: Placed, *, has_alpha: bool) -> Pixels:
        """Mask one patch; see `masking.face.maskers.Masker`. An alpha channel becomes opaque, and nothing fades."""
        rgb = rgb_of(patch)
        scene = scenery(rgb, face)
        if face.shown:
            sprite = self._bank.sprite(face.draw, self.look(face))
            placing = swayed(place(sprite, face), sprite, face.draw)
            levels = composed(sprite, placing, face, scene)
        else:
            levels = np.full((*face.inside.shape, 3), _ground(scene), np.uint8)
        if not has_alpha:
            levels = _faded(levels, rgb, face)
        return _filled(patch, levels, has_alpha)

    def look(self, face: Placed) -> Look:
        """Give the only things that a surrogate keeps of the head behind it; its tone only where somebody read it."""
        return Look(nearest_pose(self._bank, face), face.tone)


def ring_px(face: Placed) -> float:
    """Width of the ring at the edge of the mask in which a surrogate fades, in pixels."""
    return max(RING * face.face_px, 1.0)


def _faded(levels: Colours, rgb: NDArray[np.uint8], face: Placed) -> Colours:
    """Fade to the mask's edge into the nearest pixels that no mask covers, never into what is under one.

    Where the ring is wide, only every so many pixels are looked at, and what lies between is interpolated.
    """
    height, width = face.inside.shape
    step = max(1, int(ring_px(face) / _RING_STEPS))
    looked_at = np.ix_(*(np.minimum(np.arange(step // 2, end + step // 2, step), end - 1) for end in (height, width)))
    inside, beside, shown = face.inside[looked_at], face.beside[looked_at], rgb[looked_at]
    if not beside.any():
        return levels
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    _, nearest = cv2.distanceTransformWithLabels(
        (~beside).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    visible = shown[beside]
    source = np.zeros(int(nearest.max()) + 1, np.intp)
    source[nearest[beside]] = np.arange(len(visible))
    share = np.minimum(depth * np.float32(step / ring_px(face)), np.float32(1))
    share, around = _enlarged(share, step)[:height, :width], _enlarged(visible[source[nearest]], step)[:height, :width]
    return np.asarray(cv2.blendLinear(levels, around, share, 1 - share), np.uint8)


def _enlarged(values: NDArray[_Scalar], step: int) -> NDArray[_Scalar]:
    size = (values.shape[1] * step, values.shape[0] * step)
    return np.asarray(values if step == 1 else cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), values.dtype)


def composed(sprite: Sprite, placing: Placing, face: Placed, scene: Scenery) -> Colours:
    """Lay a sprite on a plain ground: (h, w, 3) RGB."""
    shape = face.inside.shape
    pixels, turn = sprite.pixels, placing.turn
    # Shrinking takes one sample in many: halved first, it takes all of them.
    while abs(turn) < 0.6 and min(pixels.shape[:2]) >= 4:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = np.asarray(
            cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        )
        turn *= 2
    head, alpha = pixels[..., :3].astype(np.float32), pixels[..., 3:] / np.float32(255)
    if scene.grey:
        head = np.repeat((head @ _LUMA)[..., None], 3, -1)
    shown = ((head + GROUND * (1 - alpha)) * scene.exposure + 0.5).clip(0, 255).astype(np.uint8)
    # Pixel centres lie at half numbers here, at whole ones in OpenCV.
    matrix = Placing(turn, placing.shift + turn * (0.5 + 0.5j) - (0.5 + 0.5j)).matrix
    beyond = [_ground(scene)] * 3
    warped = cv2.warpAffine(shown, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR, borderValue=beyond)
    return np.asarray(warped, np.uint8)


def _ground(scene: Scenery) -> int:
    """Level around a head in this light, 0 to 255."""
    return int(GROUND * scene.exposure + 0.5)


def _filled(patch: Pixels, levels: Colours, has_alpha: bool) -> Pixels:
    """Give levels of 8 bit the form of a patch."""
    most = np.iinfo(patch.dtype).max
    colours = 1 if patch.ndim == 2 or patch.shape[2] < 3 else 3
    if colours == 1:
        levels = np.round(levels @ _LUMA)[..., None].astype(np.uint8)
    if patch.shape == levels.shape and patch.dtype == levels.dtype and not has_alpha:
        return levels
    painted = np.full((*patch.shape[:2], colours + has_alpha), most, patch.dtype)
    painted[..., :colours] = levels if most == 255 else levels.astype(np.uint16) * 257
    return painted.reshape(patch.shape)


surrogate = Surrogate(DrawnBank())
"""The style as it ships: procedural people, tone drawn with the person."""
