"""Small videos of every kind, and what another program sees in them."""

from fractions import Fraction

import av
import numpy as np

from masking.media.urgency import as_urgent_as_before
from masking.media.video import VideoLimits, VideoWriter, open_video, probe_video

LIMITS = VideoLimits(bytes=10_000_000, pixels=1_000_000, side=2_000, seconds=600)
TICK = Fraction(1, 600)
SIZES = {"libsvtav1": (128, 96)}
OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "10", "bf": "2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0"},
    "libsvtav1": {"preset": "12"},
}
MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}


def drawing(number, width, height):
    """A picture whose upper left is red, upper right green, and whose grey tells its number."""
    rgb = np.full((height, width, 3), 40 + number % 20 * 8, np.uint8)
    rgb[: height // 4, : width // 4] = (220, 20, 20)
    rgb[: height // 4, -(width // 4) :] = (20, 200, 20)
    return rgb


def make(
    path, kind="mp4", codec="libx264", *, size=None, times=range(0, 240, 24), pixels="yuv420p", turn=None, tick=TICK,
    sound=None, metadata=None, subtitles=False, options=None, colour=None, movflags=None,
):  # fmt: skip
    """Write a small video; ``times`` are those of its frames in ticks."""
    width, height = size or SIZES.get(codec, (64, 48))
    container_options = {"movflags": movflags} if movflags else {}
    with (
        as_urgent_as_before(),
        av.open(str(path), "w", format=MUXERS[kind], container_options=container_options) as target,
    ):
        target.metadata.update(metadata or {})
        stream = target.add_stream(
            codec, rate=25, time_base=tick, options={**OPTIONS.get(codec, {}), **(options or {})}
        )
        context = stream.codec_context
        context.width, context.height, context.pix_fmt, context.thread_count = width, height, pixels, 1
        if colour:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = colour
        if turn:
            stream.set_display_rotation(*turn)
        voice = target.add_stream(sound, rate=48000) if sound else None
        text = target.add_mux_stream("mov_text" if kind in ("mp4", "mov") else "subrip") if subtitles else None
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(drawing(number, width, height)).reformat(format=pixels)
            picture.pts, picture.time_base = time, tick
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
        if voice is not None:
            add_sound(target, voice)
        if text is not None:
            line = av.Packet(b"\0\x05Alice" if kind in ("mp4", "mov") else b"Alice")
            line.pts = line.dts = 0
            line.duration, line.time_base, line.stream = 100, Fraction(1, 1000), text
            target.mux(line)
    return path


def add_sound(target, voice):
    wave = (np.sin(np.arange(48000) * 0.05) * 0.3).astype(np.float32)
    for start in range(0, 19200, 960):
        heard = av.AudioFrame.from_ndarray(np.stack([wave[start : start + 960]] * 2), "fltp", "stereo")
        heard.sample_rate, heard.pts, heard.time_base = 48000, start, Fraction(1, 48000)
        for resampled in av.AudioResampler(voice.codec_context.format, "stereo", 48000).resample(heard):
            target.mux(voice.encode(resampled))
    target.mux(voice.encode(None))


def copy(source, target, *, sound="drop", paint=None):
    """Read and write a video; return the reader and the writer."""
    probe = probe_video(source, LIMITS)
    with open_video(source, probe) as reader, VideoWriter(target, reader, sound=sound) as writer:
        for frame in reader:
            if paint:
                paint(frame)
            writer.write(frame)
        writer.commit()
    return reader, writer


def length(path):
    """The seconds that the file itself states; FFmpeg's own reading of an MP4 counts in the order of decoding."""
    data = path.read_bytes()
    if (at := data.find(b"mvhd")) > 0:
        return int.from_bytes(data[at + 20 : at + 24], "big") / int.from_bytes(data[at + 16 : at + 20], "big")
    with av.open(str(path)) as source:
        return source.duration / av.time_base


def facts(path):
    """All of a video that a masked copy has to keep, as another reader sees it."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        pictures = list(source.decode(stream))
        first = pictures[0]
        return {
            "times": [picture.pts * stream.time_base for picture in pictures],
            "size": (first.width, first.height),
            "duration": source.duration,
            "aspect": stream.sample_aspect_ratio,
            "codec": stream.codec_context.codec.canonical_name,
            "format": first.format.name,
            "colours": (first.colorspace, first.color_primaries, first.color_trc, first.color_range),
            "rotation": first.rotation,
        }


CODECS = [
    ("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9"), ("mkv", "libvpx-vp9"),
    ("mp4", "libsvtav1"), ("mkv", "libsvtav1"), ("webm", "libsvtav1"),
]  # fmt: skip


def decoded_rgb(path):
    with open_video(path, probe_video(path, LIMITS)) as reader:
        return [frame.rgb() for frame in reader]
