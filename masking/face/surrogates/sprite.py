"""An artificial face that stands in for a real one, and where it goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed, upright_turn

SCALE_SLACK: Final = 1.15
"""How far the landmarks may pull the size of a surrogate away from that of the box."""

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A head on nothing, upright.

    Attributes:
        pixels: (h, w, 4) uint8 RGB, multiplied by alpha, and alpha.
        box: (4,) float32 ``x1, y1, x2, y2`` of the face, in pixels.
        landmarks: (5, 2) float32 in pixels, in the order of `masking.types.Faces`.
    """

    pixels: NDArray[np.uint8]
    box: Points
    landmarks: Points


@dataclass(frozen=True, slots=True)
class Look:
    """All that a surrogate keeps of the face behind it, each a number of a bin.

    Attributes:
        pose: Index into the poses of the bank.
        light: -1 where the light comes from the image's left of the upright head, 1 from the right, 0 from the front.
        tone: 0 light, 1 medium, 2 dark skin; None where the tone is not kept.
    """

    pose: int
    light: int
    tone: int | None = None


class Bank(Protocol):
    """Where surrogates come from."""

    @property
    def poses(self) -> Sequence[Points]:
        """Landmarks (5, 2) of a typical face in each pose that the bank has; the first pose is frontal."""

    def sprite(self, draw: int, look: Look, height_px: float) -> Sprite:
        """Give the surrogate that ``draw`` picks; equal arguments give equal pixels.

        Args:
            draw: 64-bit number.
            look: What to keep; a bank may have less, and then keeps less.
            height_px: How high its face will be shown.
        """


@dataclass(frozen=True, slots=True)
class Placing:
    """A similarity of the plane in complex numbers: ``point -> turn * point + shift``."""

    turn: complex
    shift: complex

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The same as (2, 3)."""
        return np.array(
            [[self.turn.real, -self.turn.imag, self.shift.real], [self.turn.imag, self.turn.real, self.shift.imag]]
        )


def nearest_pose(bank: Bank, face: Placed) -> int:
    """Give the pose whose landmarks, moved to fit, lie nearest to the face's; the frontal one if these say nothing."""
    if upright_turn(face.box, face.landmarks) is None:
        return 0
    target = _complex(face.landmarks)
    misfits = []
    for pose in bank.poses:
        placing = _similarity(_complex(pose), target)
        misfits.append(float(np.sum(np.abs(placing.turn * _complex(pose) + placing.shift - target) ** 2)))
    return int(np.argmin(misfits))


def place(sprite: Sprite, face: Placed) -> Placing:
    """Lay a sprite over a face: landmarks on landmarks, at about the size of the box.

    Least squares (Umeyama, PAMI 13, 1991). Where the landmarks cannot be true, box on box and upright.
    """
    size = float(np.hypot(*(face.box[2:] - face.box[:2])) / np.hypot(*(sprite.box[2:] - sprite.box[:2])))
    if upright_turn(face.box, face.landmarks) is None:
        middle, target = (complex(*(box[:2] + box[2:]) / 2) for box in (sprite.box, face.box))
        return Placing(complex(size), target - size * middle)
    source, goal = _complex(sprite.landmarks), _complex(face.landmarks)
    turn = _similarity(source, goal).turn
    scale = abs(turn)
    turn *= float(np.clip(scale, size / SCALE_SLACK, size * SCALE_SLACK)) / max(scale, 1e-6)
    return Placing(turn, complex(goal.mean() - turn * source.mean()))


def _complex(points: Points) -> NDArray[np.complex128]:
    return np.asarray(points[:, 0] + 1j * points[:, 1], np.complex128)


def _similarity(source: NDArray[np.complex128], target: NDArray[np.complex128]) -> Placing:
    spread = source - source.mean()
    turn = complex(np.sum(np.conj(spread) * (target - target.mean())) / np.sum(np.abs(spread) ** 2))
    return Placing(turn, complex(target.mean() - turn * source.mean()))
