"""Which encoder writes masked sound, with what settings."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from av.audio.layout import AudioLayout
from av.codec import Codec

_LOSSLESS: Final = ("flac", "alac")
_LITTLE: Final = {
    **{name: name for name in ("pcm_u8", "pcm_alaw", "pcm_mulaw")},
    **{f"pcm_{name}le": f"pcm_{name}le" for name in ("s16", "s24", "s32", "f32", "f64")},
    **{f"pcm_{name}be": f"pcm_{name}le" for name in ("s16", "s24", "s32", "f32", "f64")},
}
_KEPT: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    # container: codecs that stay as they are, and what others become
    "wav": ((), "pcm_s16le"),
    "flac": (("flac",), "flac"),
    "mp3": (("mp3",), "mp3"),
    "aac": (("aac",), "aac"),
    "ogg": (("opus", "flac"), "opus"),
    "m4a": (("aac", "alac", "flac", "opus", "mp3"), "aac"),
    "mp4": (("aac", "alac", "flac", "opus", "mp3"), "aac"),
    "mov": (("aac", "alac"), "aac"),
    "mkv": (("aac", "opus", "flac", "mp3"), "opus"),  # of AAC it does not tell where the last packet ends
    "webm": (("opus",), "opus"),
}
_PCM_CONTAINERS: Final = ("wav", "mov", "mkv")
_ENCODERS: Final = {"mp3": "libmp3lame", "opus": "libopus"}
_INSTEAD: Final = {"vorbis": "opus"}  # there is no good encoder for it; its successor fits wherever it was

_DEPTHS: Final = {"pcm_u8": 8, "pcm_s16le": 16, "pcm_s24le": 24, "pcm_s32le": 32, "pcm_alaw": 16, "pcm_mulaw": 16}
# The layouts that an encoder opens with, in the order in which one is chosen by the number of channels.
_COMMON: Final = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1")
_LAYOUTS: Final = {
    "aac": (*_COMMON, "2.1", "quad", "6.1", "7.1", "7.0"),
    "alac": (*_COMMON, "6.1(back)", "7.1(wide)"),
    "opus": ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
    "mp3": ("mono", "stereo"),
}
_USUAL: Final = (*_COMMON, "6.1", "7.1")
_OPUS_RATE: Final = 48_000

_MP3_RATES: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW_RATES: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LEAST_FOR_A_CHANNEL: Final = {"mp3": 64_000, "aac": 64_000, "opus": 48_000}
_MOST_FOR_A_CHANNEL: Final = {"mp3": 320_000, "aac": 288_000, "opus": 256_000}


class Heard(Protocol):
    """What is known of a sound that is to be written again; see ``AudioProbe``."""

    @property
    def container(self) -> str: ...  # noqa: D102
    @property
    def codec(self) -> str: ...  # noqa: D102
    @property
    def rate(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def layout(self) -> str: ...  # noqa: D102
    @property
    def sample_format(self) -> str: ...  # noqa: D102
    @property
    def bit_rate(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class AudioCoding:
    """How sound is written.

    Attributes:
        encoder: name of the encoder.
        codec: name of what it makes.
        sample_format: FFmpeg's name of the samples that it takes.
        bits: that count in a sample of whole numbers, 0 for others.
        rate: samples a second.
        layout: FFmpeg's name of the channels.
        bit_rate: bits per second to aim at, 0 where the samples tell.
        options: settings of the encoder.
        notes: what is not as it was.
    """

    encoder: str
    codec: str
    sample_format: str
    bits: int
    rate: int
    layout: str
    bit_rate: int
    options: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def audio_coding(heard: Heard) -> AudioCoding:
    """Choose the encoder: the codec of the source where one can write it, else what fits the container best."""
    codec = _codec(heard)
    encoder = _ENCODERS.get(codec, codec)
    notes = [] if codec == heard.codec else [f"sound_recoded_as_{codec}"]
    rate = heard.rate
    if codec == "opus":
        rate = _OPUS_RATE
        if rate != heard.rate:
            notes.append(f"rate_changed_to_{rate}")
    layout = _layout(codec, heard.layout, heard.channels)
    if layout != heard.layout and not heard.layout.endswith("channels"):
        notes.append("channels_named_anew")
    sample_format, bits = _samples(heard, codec, encoder)
    if bits and bits < _bits_of(heard):
        notes.append("bit_depth_reduced")
    return AudioCoding(
        encoder=encoder,
        codec=codec,
        sample_format=sample_format,
        bits=bits,
        rate=rate,
        layout=layout,
        bit_rate=_bit_rate(codec, heard),
        notes=tuple(notes),
    )


def _codec(heard: Heard) -> str:
    if heard.container in _PCM_CONTAINERS and heard.codec in _LITTLE:
        return heard.codec if heard.container == "mov" else _LITTLE[heard.codec]
    kept, other = _KEPT[heard.container]
    if heard.codec in kept:
        return heard.codec
    instead = _INSTEAD.get(heard.codec, other)
    if heard.container == "mkv" and heard.codec not in _INSTEAD and heard.rate != _OPUS_RATE:
        return "flac"  # the rate stays
    return instead if instead in kept else other


def _samples(heard: Heard, codec: str, encoder: str) -> tuple[str, int]:
    """Choose the samples that the encoder is given, and how many bits of them count."""
    offered = [format_.name for format_ in Codec(encoder, "w").audio_formats or ()]
    if codec.startswith("pcm_"):
        return offered[0], _DEPTHS.get(codec.replace("be", "le"), 0)
    if codec in _LOSSLESS:
        deep = _bits_of(heard) > 16
        chosen = next(name for name in offered if name.startswith("s32" if deep else "s16"))
        return chosen, 24 if deep else 16
    return next(name for name in offered if name.startswith("flt")), 0


def _bits_of(heard: Heard) -> int:
    if heard.codec in _DEPTHS:
        return _DEPTHS[heard.codec]
    if heard.codec in _LOSSLESS:
        return 24 if heard.sample_format == "s32" else 16
    return 24 if heard.codec.startswith("pcm_") else 0


def _layout(codec: str, layout: str, channels: int) -> str:
    """Name the channels: as they were where the encoder knows that, else by their number."""
    known = _LAYOUTS.get(codec)
    if layout in (known or ()) or (known is None and not layout.endswith("channels")):
        return layout
    return next((name for name in known or _USUAL if AudioLayout(name).nb_channels == channels), layout)


def _bit_rate(codec: str, heard: Heard) -> int:
    """Give a bit rate not below the source's, and not below what a second coding of speech and music needs."""
    if codec not in _LEAST_FOR_A_CHANNEL:
        return 0
    least = _LEAST_FOR_A_CHANNEL[codec] * heard.channels
    exact = heard.codec.startswith(("pcm_", *_LOSSLESS))
    wished = max(heard.bit_rate, least) if heard.bit_rate and not exact else 2 * least
    wished = min(wished, _MOST_FOR_A_CHANNEL[codec] * heard.channels)
    if codec != "mp3":
        return wished
    offered = _MP3_RATES if heard.rate >= 32_000 else _MP3_LOW_RATES
    return next((kilobits for kilobits in offered if kilobits * 1000 >= wished), offered[-1]) * 1000
