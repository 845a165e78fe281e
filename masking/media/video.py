"""Videos, read and written frame by frame: the names that other modules use."""

from masking.media.video_frame import VideoFrame
from masking.media.video_groups import NotJoinable, joinable
from masking.media.video_probe import VideoLimits, VideoProbe, probe_video
from masking.media.video_reader import VideoReader, open_video
from masking.media.video_sniff import sniff_video
from masking.media.video_sound import KeptSound, Sound
from masking.media.video_writer import VideoWriter

__all__ = [
    "KeptSound",
    "NotJoinable",
    "Sound",
    "VideoFrame",
    "VideoLimits",
    "VideoProbe",
    "VideoReader",
    "VideoWriter",
    "joinable",
    "open_video",
    "probe_video",
    "sniff_video",
]
