"""Scene cuts and movement, read from small thumbnails of the brightness."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

THUMB_COLUMNS, THUMB_ROWS = 64, 36
BINS = 32
CUT_CHANGE, CUT_RATIO, CUT_TONES = 14.0, 2.2, 0.2
JOLT_CHANGE, JOLT_RATIO = 6.0, 2.0
SAME_PICTURE = 0.9
CALM_CHANGE, BUSY_CHANGE = 1.5, 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Thumb:
    """What a frame looks like from afar.

    Attributes:
        picture: (36, 64) int16 brightness, 0 to 255.
        tones: (32,) float64, share of the pixels in each band of brightness; they sum to 1.
    """

    picture: NDArray[np.int16]
    tones: NDArray[np.float64]

    def levels(self, *shares: float) -> tuple[float, ...]:
        """Give the brightness below which these shares of the picture lie, between two parts in proportion."""
        ordered = np.sort(self.picture, axis=None)
        return tuple(np.interp(np.array(shares) * (ordered.size - 1), np.arange(ordered.size), ordered).tolist())


@dataclass(frozen=True, slots=True)
class Change:
    """How a frame differs from the one before it.

    Attributes:
        change: Mean absolute difference of the thumbnails, 0 to 255.
        cut: Another scene begins here.
        jolt: Much more changes than in the frames before, less than a cut.
    """

    change: float
    cut: bool
    jolt: bool

    @property
    def calm(self) -> bool:
        """Whether hardly anything moves."""
        return self.change < CALM_CHANGE and not self.cut

    @property
    def busy(self) -> bool:
        """Whether most of the picture moves."""
        return self.change > BUSY_CHANGE


STILL = Change(0.0, False, False)


def afar(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink (h, w) uint8 brightness to (36, 64)."""
    return np.asarray(cv2.resize(luma, (THUMB_COLUMNS, THUMB_ROWS), interpolation=cv2.INTER_AREA), np.uint8)


def thumb(luma: NDArray[np.uint8]) -> Thumb:
    """Make the thumbnail of (h, w) uint8 brightness, which may be seen from `afar` already."""
    small = afar(luma)
    tones = np.bincount(small.ravel() // (256 // BINS), minlength=BINS) / small.size
    return Thumb(small.astype(np.int16), tones)


def change(before: Thumb, after: Thumb, usual: float) -> Change:
    """Compare neighbouring frames.

    A cut changes the picture far more than the frames before it did, and the share of the tones or nearly the whole
    picture with it; movement keeps the tones, and a light that is switched or dimmed the picture.

    Args:
        before: The earlier frame.
        after: The later frame.
        usual: Mean change in the frames before, 0 to 255.
    """
    moved = float(np.abs(after.picture - before.picture).mean())
    tones = float(np.abs(after.tones - before.tones).sum())
    sudden = moved > CUT_RATIO * usual
    cut = moved > CUT_CHANGE and sudden and (tones > CUT_TONES or moved > 2 * CUT_CHANGE)
    cut = cut and likeness(before.picture, after.picture) <= SAME_PICTURE
    return Change(moved, cut, not cut and moved > JOLT_CHANGE and moved > JOLT_RATIO * usual)


def likeness(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    """Correlate two thumbnails: 1 for the same picture whatever its brightness and contrast, 0 for a blank one."""
    a, b = (picture - picture.mean(dtype=np.float64) for picture in (one, other))
    return float((a * b).sum()) / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1.0)
