"""The limits of the settings as the masking library takes them."""

from masking.media.video import VideoLimits
from mlops.settings import LimitSettings


def video_limits(limits: LimitSettings) -> VideoLimits:
    """Return the largest video that is taken."""
    return VideoLimits(limits.video_bytes, limits.video_pixels, limits.video_side, limits.video_seconds)
