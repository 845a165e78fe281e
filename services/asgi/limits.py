"""The limits of the settings as the masking library takes them."""

from masking.media.audio import AudioLimits
from masking.media.video import VideoLimits
from mlops.settings import LimitSettings


def video_limits(limits: LimitSettings) -> VideoLimits:
    """Return the largest video that is taken."""
    return VideoLimits(limits.video_bytes, limits.video_pixels, limits.video_side, limits.video_seconds)


def audio_limits(limits: LimitSettings, seconds: float | None = None) -> AudioLimits:
    """Return the largest sound that is taken; ``seconds`` is its length, that of the settings unless given."""
    return AudioLimits(limits.audio_bytes, seconds or limits.audio_seconds, limits.audio_channels)
