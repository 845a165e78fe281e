"""Videos in groups of pictures, of which a test has some masked and others copied."""

import av

from masking.policy import VideoPolicy
from masking.selection import Listed, Selection
from masking.types import Faces
from masking.video import mask_video
from tests.masking.media.videos import LIMITS, make

GROUP = 8
TIMES = range(0, 40 * 24, 24)
PLAIN = {"preset": "veryfast", "bf": "0", "refs": "2", "x264-params": f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0"}
MESSAGE = b"\x06\x05\x19" + b"sixteen of a kind" + b"Alice is" + b"\x80"  # SEI, user data that is not registered
VARIABLE = [sum((12, 24, 48, 30)[number % 4] for number in range(end)) for end in range(40)]


def nobody(pixels, threshold):
    return Faces.none()


def film(path, kind="mp4", *, options=None, times=TIMES, **more):
    return make(path, kind, times=times, options={**PLAIN, **(options or {})}, **more)


def masked(source, target, *frames, untouched="copy", detector=nobody, **more):
    """Mask the middle of the frames of these numbers, and of no other."""
    rows = tuple(Listed("mask", 24, 14, 40, 34, first=number, last=number) for number in frames)
    policy = VideoPolicy(selection=Selection(rows, only=bool(rows)), untouched=untouched, **more)
    return mask_video(source, target, policy, detector, LIMITS)


def samples(path):
    """The packets of the video, and the record that its decoder is told."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        return [bytes(packet) for packet in source.demux(stream) if packet.size], stream.codec_context.extradata


def pictures(path):
    with av.open(str(path)) as source:
        return [picture.to_ndarray() for picture in source.decode(video=0)]


def rewritten(source, target, change, *, shift=0):
    """Copy a video; ``change`` gives the bytes of each packet, by its number."""
    with av.open(str(source)) as before, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as after:
        stream = before.streams.video[0]
        track = after.add_stream_from_template(stream)
        for number, packet in enumerate(each for each in before.demux(stream) if each.size):
            made = av.Packet(change(number, bytes(packet)))
            made.pts, made.dts, made.duration = packet.pts - shift, packet.dts - shift, packet.duration
            made.time_base, made.is_keyframe, made.stream = packet.time_base, packet.is_keyframe, track
            after.mux(made)
    return target


def counted(unit):
    return len(unit).to_bytes(4, "big") + unit
