"""An artificial face that stands in for a real one, and where it goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from masking.face.region import Placed, upright_turn

SCALE_SLACK: Final = 1.3
"""How far the landmarks may pull the size of a surrogate away from that of the box."""
SWAY_SCALE, SWAY_TURN, SWAY_SHIFT = 0.08, 0.06, 0.04
"""How far a surrogate may sway: natural logarithm of its scale, radians, and heights of the face."""
_MIX: Final = 0x9E3779B97F4A7C15
_LEVELS: Final = 1 << 12

Points = NDArray[np.float32]

_ALIGNED: Final[Points] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where recognisers move the landmarks of every face: the 112 px template of ArcFace (Deng et al., CVPR 2019)."""


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
        tone: Bin of the skin tone, see `masking.face.surrogates.tones`; None where it is not kept.
    """

    pose: int
    tone: int | None = None


class Bank(Protocol):
    """Where surrogates come from."""

    @property
    def poses(self) -> Sequence[Points]:
        """Landmarks (5, 2) of a typical face in each pose that the bank has; the first pose is frontal."""

    def sprite(self, draw: int, look: Look) -> Sprite:
        """Give the surrogate that ``draw`` picks; equal arguments give equal pixels.

        Args:
            draw: 64-bit number.
            look: What to keep; a bank may have less, and then keeps less.
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
    """Lay a sprite over a face so that aligning the one aligns the other, at about the size of the box.

    Each is aligned to the same template by least squares (Umeyama, PAMI 13, 1991), as recognisers do: whoever aligns
    the masked face by its true landmarks finds the sprite in the same place for everybody. The fit has to go the way
    it goes there, from landmarks to template, or a face that fits badly would get another size. Laid box on box, or
    landmarks on landmarks, it would tell how a person's landmarks lie in the box or to each other. Where the
    landmarks cannot be true, box on box and upright.
    """
    size = float(np.hypot(*(face.box[2:] - face.box[:2])) / np.hypot(*(sprite.box[2:] - sprite.box[:2])))
    if upright_turn(face.box, face.landmarks) is None:
        middle, target = (complex(*(box[:2] + box[2:]) / 2) for box in (sprite.box, face.box))
        return Placing(complex(size), target - size * middle)
    template = _complex(_ALIGNED)
    source, goal = (_similarity(_complex(points), template) for points in (sprite.landmarks, face.landmarks))
    turn = source.turn / goal.turn
    scale = abs(turn)
    turn *= float(np.clip(scale, size / SCALE_SLACK, size * SCALE_SLACK)) / max(scale, 1e-6)
    middles = [complex((template.mean() - aligned.shift) / aligned.turn) for aligned in (source, goal)]
    return Placing(turn, middles[1] - turn * middles[0])


def swayed(placing: Placing, sprite: Sprite, draw: int) -> Placing:
    """Move, turn and scale a sprite about its middle by a little that ``draw`` picks.

    What an aligned picture still tells of a person is little (grain, rounding, the rim of the mask): this hides it.
    """
    mixed = (draw * _MIX) % (1 << 64)
    mixed ^= mixed >> 29
    scale, turn, across, down = (2 * ((mixed >> shift) % _LEVELS) / (_LEVELS - 1) - 1 for shift in (0, 12, 24, 36))
    middle = complex(*(sprite.box[:2] + sprite.box[2:]) / 2)
    height = float(sprite.box[3] - sprite.box[1])
    moved = placing.turn * (middle + SWAY_SHIFT * height * complex(across, down)) + placing.shift
    swung = placing.turn * complex(np.exp(complex(SWAY_SCALE * scale, SWAY_TURN * turn)))
    return Placing(swung, moved - swung * middle)


def _complex(points: Points) -> NDArray[np.complex128]:
    return np.asarray(points[:, 0] + 1j * points[:, 1], np.complex128)


def _similarity(source: NDArray[np.complex128], target: NDArray[np.complex128]) -> Placing:
    spread = source - source.mean()
    turn = complex(np.sum(np.conj(spread) * (target - target.mean())) / np.sum(np.abs(spread) ** 2))
    return Placing(turn, complex(target.mean() - turn * source.mean()))
