"""Which encoder writes a masked video, with what settings."""

from dataclasses import dataclass
from typing import Final

from av.codec import Codec
from av.video.reformatter import ColorRange

from masking.media.video_layout import Layout, nearest
from masking.media.video_probe import VideoProbe

_X264: Final = "libx264"
_VP9: Final = "libvpx-vp9"
_AV1: Final = "libsvtav1"
_FAMILY: Final = {"h264": _X264, "vp9": _VP9, "av1": _AV1}
_NAMES: Final = {_X264: "h264", _VP9: "vp9", _AV1: "av1"}

# Constant quality at which a second coding does not show; the presets are those that keep up with playing.
_OPTIONS: Final = {
    # Captions travel in the frames, and they may quote people.
    _X264: {"preset": "veryfast", "crf": "20", "a53cc": "0"},
    _VP9: {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"},
    _AV1: {"preset": "10", "crf": "28"},
}


@dataclass(frozen=True, slots=True)
class Coding:
    """How the video is written.

    Attributes:
        encoder: name of the encoder.
        options: its settings.
        layout: the samples that it takes.
        full: whether they span their full range.
        notes: what is not as it was.
    """

    encoder: str
    options: dict[str, str]
    layout: Layout
    full: bool
    notes: tuple[str, ...]


def coding(probe: VideoProbe) -> Coding:
    """Choose the encoder: the codec of the source where it is H.264, VP9 or AV1, else H.264, and VP9 in WebM."""
    encoder = _FAMILY.get(probe.codec, _VP9 if probe.container == "webm" else _X264)
    notes = []
    if probe.codec != _NAMES[encoder]:
        notes.append(f"video_recoded_as_{_NAMES[encoder]}")
    layout = nearest(_wished(probe, encoder), tuple(f.name for f in Codec(encoder, "w").video_formats or ()))
    if layout.bits < probe.layout.bits:
        notes.append("bit_depth_reduced")
    if layout.across > max(1, probe.layout.across) or layout.down > max(1, probe.layout.down):
        notes.append("chroma_reduced")
    if 0 < layout.across < probe.layout.across:
        notes.append("chroma_in_full_for_odd_size")
    full = layout.full or (probe.colour.full and not probe.layout.is_grey)
    return Coding(encoder, dict(_OPTIONS[encoder]), layout, full, tuple(notes))


def colour_range(coding: Coding) -> ColorRange:
    """The range as an encoder is told it."""
    return ColorRange.JPEG if coding.full else ColorRange.MPEG


def _wished(probe: VideoProbe, encoder: str) -> Layout:
    """Give the layout to ask for: H.264 with subsampled chroma has even sizes only."""
    layout = probe.layout
    width, height = probe.stored_size
    odd = (layout.across == 2 and width % 2) or (layout.down == 2 and height % 2)
    if encoder == _X264 and odd:
        return Layout("", layout.bits, 1, 1, layout.full)
    return layout
