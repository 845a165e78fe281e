"""Doubt over a whole frame: too little can be made out in it for the word of a detector to count.

The thresholds are where the detector stopped finding faces in real clips that were darkened and blurred step by step.
Weak scores are no sign: a detector that is blind has fewer of them, not more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from masking.face.coverage import LEAST_INSIDE, inside
from masking.face.cuts import Thumb, likeness
from masking.face.pace import FollowerSettings, hold_seconds
from masking.face.track import Track
from masking.media.frame import Frame

DIM: Final = "too little can be made out"
WORSE: Final = "faces were lost as the picture got darker or less sharp"
DIM_CONTRAST: Final = 12.0
"""Levels, of 255, that nearly all of a frame must span for faces to be found."""
DARK_CONTRAST, DARK_LEVEL = 28.0, 44.0
"""The same, and the level that nearly nothing exceeds, where a frame is dark: small faces in it are not found."""
BLANK_SPREAD: Final = 2.0
"""Levels that most of a frame spans if it shows anything: a black frame or a title card hides nobody."""
LESS_CONTRAST, LESS_DETAIL = 0.5, 0.4
"""Shares of what the shot had a moment ago below which a frame is worse."""
FADES: Final = 2.0
"""A dim stretch whose contrast changes by this factor begins anew."""
FORGET_SECONDS: Final = 5.0
"""Time in which half of what the shot had is forgotten."""
SAME_SCENE: Final = 0.6
"""Likeness of two thumbnails of one scene, of which one is much darker or less sharp."""
_DETAIL_PX: Final = 5


@dataclass(frozen=True, slots=True)
class Sight:
    """How much can be made out in a frame.

    Attributes:
        contrast: Levels, 0 to 255, that the middle 98 % of its parts span.
        brightest: The upper end of these levels.
        spread: The same of the middle 80 %.
        detail: Mean difference, 0 to 255, of a pixel from those around it.
    """

    contrast: float
    brightest: float
    spread: float
    detail: float

    @property
    def blank(self) -> bool:
        """Whether nothing is shown at all, but for a few marks."""
        return self.spread < BLANK_SPREAD

    @property
    def dim(self) -> bool:
        """Whether something is shown in which no detector finds a face, though a person who brightens it may."""
        dark = self.contrast < DARK_CONTRAST and self.brightest < DARK_LEVEL
        return not self.blank and (dark or self.contrast < DIM_CONTRAST)

    def worse(self, than: "Sight") -> bool:
        """Whether much less can be made out than in another frame of the scene."""
        return self.contrast < LESS_CONTRAST * than.contrast or self.detail < LESS_DETAIL * than.detail


NOTHING: Final = Sight(0.0, 0.0, 0.0, 0.0)


def sight(luma: NDArray[np.uint8], small: Thumb) -> Sight:
    """Measure a frame: (h, w) uint8 brightness at the size at which flow is looked for, and its thumbnail."""
    low, least, most, high = small.levels(0.01, 0.1, 0.9, 0.99)
    detail = cv2.norm(luma, cv2.blur(luma, (_DETAIL_PX, _DETAIL_PX)), cv2.NORM_L1) / luma.size
    return Sight(high - low, high, most - least, detail)


class Eyes:
    """Watches over the frames of a stream for such in which the detector is as good as blind."""

    def __init__(self, settings: FollowerSettings) -> None:
        self._settings = settings
        self._usual = NOTHING
        self._seconds = 0.0
        self._dim: tuple[int, float, float] | None = None
        self._lost: Sight | None = None

    @property
    def dimmed(self) -> bool:
        """Whether the last frame belongs to a dim stretch, which may yet turn out too long."""
        return self._dim is not None

    def blind_since(self, number: int, seconds: float, seen: Sight, cut: bool) -> int | None:
        """Take the next frame; give the number of the first of the frames up to it that are too dim, if any are.

        A short dim stretch is none, and neither is a fade: faces that were seen before it are held as long.
        """
        if cut or seen.blank:
            self._usual, self._lost = NOTHING, None
        kept = 0.5 ** ((seconds - self._seconds) / FORGET_SECONDS)
        self._seconds = seconds
        contrast, detail = kept * self._usual.contrast, kept * self._usual.detail
        self._usual = replace(seen, contrast=max(seen.contrast, contrast), detail=max(seen.detail, detail))
        if not seen.dim:
            self._dim = None
            return None
        first, began, contrast = self._dim or (number, seconds, seen.contrast)
        if not contrast / FADES <= seen.contrast <= contrast * FADES:
            first, began, contrast = number, seconds, seen.contrast
        self._dim = first, began, contrast
        return first if seconds - began > self._settings.doubt_seconds else None

    def lost_sight(self, frame: Frame, seen: Sight, small: Thumb, tracks: Iterable[Track]) -> bool:
        """Tell whether faces that were followed are lost because much less can be made out than a moment ago.

        It stays so until as much can be made out as before, or another scene begins.
        """
        if self._lost is None and seen.worse(self._usual):
            scenes = (track.scene for track in tracks if self._ended(track, frame))
            here = any(likeness(scene, small.picture) > SAME_SCENE for scene in scenes)
            self._lost = self._usual if here else None
        elif self._lost is not None and not seen.worse(self._lost):
            self._lost = None
        return self._lost is not None

    def _ended(self, track: Track, frame: Frame) -> bool:
        """Whether a face is covered no longer that looks did not find although it did not leave."""
        over = frame.seconds - track.seconds > hold_seconds(self._settings, track)
        return track.sure and track.misses > 0 and over and inside(track.box, frame.width, frame.height) >= LEAST_INSIDE
