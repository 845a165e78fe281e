"""When to look, how closely, how long to hold a face that is lost, and when to doubt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from masking.face.coverage import inside
from masking.face.cuts import Change
from masking.face.track import Track
from masking.media.frame import Frame

LOST = "a face was lost without a reason"
SURE_TRUST = 0.5
SURE_SCORE = 0.5
SURE_SIGHTINGS = 4
WELL_INSIDE = 0.98


@dataclass(frozen=True, slots=True)
class FollowerSettings:
    """How closely to look.

    Attributes:
        threshold: Score from which a face is masked, in (0, 1).
        once: Share of the threshold that makes a face of what was seen once: not every frame is looked at, and the one
            in which a face scores highest is seldom the one that was.
        twice: The same for what was seen more than once.
        low: Share of the threshold from which a detection continues a face that is followed.
        look_ahead: Frames that are held back so that what is seen later can correct them.
        stride: Frames from look to look as a rule.
        calm_stride: The same while nothing moves and the flow is sure of all faces.
        busy_stride: The same while most of the picture moves, or a face is new or was just lost.
        fine_px: Longest side of the picture that a close look sees; larger ones are shrunk to it.
        coarse: Scale of the quick looks, in that of the close ones; from 0 to 1, neither included.
        overview_px: Longest side of the least picture that quick looks see, beside a larger one where there is one.
        fine_every: Every so many looks are close, the others quick.
        full_every: Every so many looks see the full picture. At both sides of a cut and at both ends a look is taken
            at every scale, after a cut and at the beginning of the full picture too.
        least_px: No look is at a scale at which a face that is followed is smaller than this (shorter side), unless it
            sees the full picture.
        hold_seconds: How long a sure face is held that looks no longer find; an unsure one a third of it.
        steady: Mean score from which a face is sure enough for that.
        doubt_seconds: How long a face may be missing without a reason before the frame is doubted.
        extend: Frames that a new face is taken back before the look that found it.
    """

    threshold: float = 0.2
    once: float = 0.8
    twice: float = 0.5
    low: float = 0.4
    look_ahead: int = 24
    stride: int = 5
    calm_stride: int = 8
    busy_stride: int = 4
    fine_px: int = 1280
    coarse: float = 0.5
    overview_px: int = 320
    fine_every: int = 2
    full_every: int = 4
    least_px: float = 12.0
    hold_seconds: float = 1.0
    steady: float = 0.35
    doubt_seconds: float = 0.5
    extend: int = 12

    def __post_init__(self) -> None:
        if (
            self.look_ahead < 0
            or min(self.stride, self.calm_stride, self.busy_stride, self.fine_every, self.full_every) < 1
        ):
            raise ValueError("look_ahead must be at least 0, and strides at least 1")
        if not 0 < self.coarse < 1 or self.overview_px < 1:
            raise ValueError("coarse must lie between 0 and 1, and overview_px be at least 1")

    @classmethod
    def live(cls, threshold: float = 0.2) -> Self:
        """Answer each frame at once: a look at every one, and nothing held back."""
        return cls(threshold=threshold, look_ahead=0, stride=1, calm_stride=1, busy_stride=1)


def stride(settings: FollowerSettings, moved: Change, tracks: Sequence[Track]) -> int:
    """Say how many frames after the last look to look again."""
    followed = [track for track in tracks if track.sure]
    if moved.busy or any(track.sightings < 3 or track.misses == 1 for track in followed):
        return settings.busy_stride
    if moved.calm and all(track.trust > SURE_TRUST for track in followed):
        return settings.calm_stride
    return settings.stride


def scales(settings: FollowerSettings, looks: int, tracks: Sequence[Track], longest: int) -> tuple[float, ...]:
    """Say at which scales to look after so many looks at a picture whose longer side is ``longest`` pixels.

    A quick look is always an overview as well: what is large, blurred or cut off by the edge is found in few pixels
    alone, however many the picture has.
    """
    fine = min(1.0, settings.fine_px / longest)
    if looks % settings.full_every == 0:
        return (1.0,)
    quick = looks % settings.fine_every != 0
    smallest = min((track.side for track in tracks if track.sure), default=float(longest))
    steps = (fine * settings.coarse, fine) if quick else (fine,)
    closest = next((step for step in steps if smallest * step >= settings.least_px), 1.0)
    overview = settings.overview_px / longest
    return (closest, overview) if quick and overview < closest else (closest,)


def first_scales(settings: FollowerSettings, longest: int) -> tuple[float, ...]:
    """Say at which scales to look at the first frame of a scene: full, and in steps to the overview."""
    return _steps(settings, 1.0, longest)


def last_scales(settings: FollowerSettings, longest: int) -> tuple[float, ...]:
    """Say at which scales to look at the last frame of a scene: as close as a close look, and in steps to the overview.

    Faces that are too small for it are followed since the full picture was seen.
    """
    return _steps(settings, min(1.0, settings.fine_px / longest), longest)


def _steps(settings: FollowerSettings, closest: float, longest: int) -> tuple[float, ...]:
    overview, steps = settings.overview_px / longest, [closest]
    while steps[-1] * settings.coarse > overview:
        steps.append(steps[-1] * settings.coarse)
    return (*steps, overview) if overview < closest else (closest,)


def hold_seconds(settings: FollowerSettings, track: Track) -> float:
    """Say how long after its last sighting a face is covered."""
    lasting = track.sightings > 2 and track.steady >= settings.steady
    return settings.hold_seconds if lasting else settings.hold_seconds / 3


def lost_without_reason(settings: FollowerSettings, track: Track, frame: Frame) -> bool:
    """Tell whether a face vanished that was sure, did not shrink away, and that the flow still finds well inside."""
    sure = track.sure and track.sightings >= SURE_SIGHTINGS and track.steady >= SURE_SCORE and not track.shrinking
    missing = track.misses > 1 and frame.seconds - track.seconds > settings.doubt_seconds
    followed = track.trust > SURE_TRUST
    return sure and missing and followed and inside(track.box, frame.width, frame.height) >= WELL_INSIDE
