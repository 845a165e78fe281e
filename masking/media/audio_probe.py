"""What a sound file is, by its content, its header and its first frame, before anything else of it is decoded."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
from av import AudioFrame
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, UnsupportedMedia
from masking.media.audio_samples import SAMPLE_TYPES
from masking.media.audio_sniff import kind_of
from masking.media.audio_source import first_frames, has_pictures, open_container, sound_of
from masking.media.audio_structure import Structure, structure
from masking.media.tags import telling

_MEDIA_TYPES: Final = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mov": "video/quicktime",
    "mkv": "audio/x-matroska",
    "webm": "audio/webm",
}
_FIRST_PACKETS: Final = 600  # how far the first frame that decodes is looked for
_TRIMMED_FRAMES: Final = 5  # more of a track than these that its header leaves out is no padding of an encoder
_AAC_FRAME: Final = 1024


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """The largest sound that is taken.

    Attributes:
        bytes: of the file.
        seconds: length.
        channels: most channels.
        lowest_rate: fewest samples a second.
        highest_rate: most samples a second.
    """

    bytes: int
    seconds: float
    channels: int = 8
    lowest_rate: int = 8_000
    highest_rate: int = 48_000


@dataclass(frozen=True, slots=True)
class AudioProbe:
    """What is known of a sound before it is read.

    Attributes:
        container: ``wav``, ``flac``, ``mp3``, ``aac`` (ADTS), ``ogg``, ``m4a`` (any MP4 without pictures), ``mov``,
            ``mkv`` or ``webm``.
        codec: FFmpeg's name of the codec, e.g. ``pcm_s24le``.
        rate: samples a second of each channel.
        channels: number of channels.
        layout: FFmpeg's name of where they stand, e.g. ``stereo``.
        sample_format: FFmpeg's name of the samples as the decoder gives them, without ``p`` for planar.
        samples: samples of each channel as the header states them to the sample, None where it does not.
        lead: samples that a decoder leaves out of the first frame that it hands on, since they are the encoder's own; 0
            where all of that frame is sound. A copy of AAC in MP4 needs as many to be of the same length for decoders
            that read edit lists to the sample, and for those that leave out whole frames at the end alone.
        seconds: length as far as the header tells, 0 where unknown.
        bit_rate: bits per second of the sound or of the file; 0 where unknown.
        stream: number of the sound stream in the file.
        broken_at: byte at which the file no longer is what it states, None where all of it fits.
        notes: what the copy will not have, e.g. ``metadata_dropped``, ``cover_dropped``, ``chapters_dropped``.
        max_seconds: the limit that reading keeps, since a header may state less than there is.
    """

    container: str
    codec: str
    rate: int
    channels: int
    layout: str
    sample_format: str
    samples: int | None
    lead: int
    seconds: float
    bit_rate: int
    stream: int
    broken_at: int | None
    notes: tuple[str, ...]
    max_seconds: float

    @property
    def media_type(self) -> str:
        """The media type as HTTP names it."""
        return _MEDIA_TYPES[self.container]


def probe_audio(path: Path, limits: AudioLimits) -> AudioProbe:
    """Tell what the file at ``path`` is, and refuse what cannot or may not be masked; its name plays no part.

    Raises:
        EmptyMedia: no bytes, or no samples.
        UnsupportedMedia: not a sound file of a known kind, a video, or of a rate or channels out of ``limits``.
        MediaTooLarge: larger or longer than ``limits`` allow.
        DamagedMedia: the header is corrupt or missing, or nothing can be decoded.
    """
    size = path.stat().st_size
    if size == 0:
        raise EmptyMedia("there are no bytes")
    if size > limits.bytes:
        raise MediaTooLarge(f"the file has more than {limits.bytes} bytes: cut it into shorter pieces")
    container = kind_of(path)
    if container is None:
        raise UnsupportedMedia("only WAV, FLAC, MP3, AAC, M4A, Ogg and WebM sound is masked here")
    built = structure(path, container)
    with open_container(path, container) as source:
        stream = sound_of(source)
        context = stream.codec_context
        if context.sample_rate and context.channels:
            check_sound(context.sample_rate, context.channels, limits)
        seconds = _seconds(source, stream, container, built, limits)
        if seconds > limits.seconds:
            raise MediaTooLarge(f"the sound is longer than {limits.seconds:g} seconds: cut it into shorter pieces")
    with open_container(path, container) as source:
        stream = sound_of(source)
        context = stream.codec_context
        first = _first_frame(source, stream)
        check_frame(first, limits)
        return AudioProbe(
            container=container,
            codec=context.codec.canonical_name,
            rate=first.sample_rate,
            channels=first.layout.nb_channels,
            layout=first.layout.name,
            sample_format=first.format.packed.name,
            samples=_stated(stream, container, built, first),
            lead=_lead(context, container, first),
            seconds=seconds,
            bit_rate=context.bit_rate or source.bit_rate or (int(size * 8 / seconds) if seconds else 0),
            stream=stream.index,
            broken_at=built.broken_at,
            notes=_notes(source, stream, built),
            max_seconds=limits.seconds,
        )


def is_audio(path: Path) -> bool:
    """Tell whether a file is sound to be masked as such: a sound file, or a film's container without pictures.

    Only the header is looked at, so a file of which this is true may still be refused by ``probe_audio``.
    """
    container = kind_of(path)
    if container not in ("m4a", "mov", "mkv", "webm"):
        return container is not None
    try:
        with open_container(path, container) as source:
            return bool(source.streams.audio) and not has_pictures(source)
    except DamagedMedia:
        return False


def check_sound(rate: int, channels: int, limits: AudioLimits) -> None:
    """Refuse a rate or a number of channels that is out of ``limits``.

    Raises:
        UnsupportedMedia: it is.
    """
    if rate > limits.highest_rate or rate < limits.lowest_rate:
        raise UnsupportedMedia(
            f"sound of {rate} Hz is not masked here: resample it to {limits.lowest_rate} to {limits.highest_rate} Hz"
        )
    if channels > limits.channels:
        raise UnsupportedMedia(
            f"sound of {channels} channels is not masked here: mix it down to {limits.channels} or fewer"
        )


def check_frame(frame: AudioFrame, limits: AudioLimits) -> None:
    """Refuse a decoded frame whose rate, channels or samples cannot be masked.

    Raises:
        UnsupportedMedia: it is so.
    """
    check_sound(frame.sample_rate, frame.layout.nb_channels, limits)
    if frame.format.packed.name not in SAMPLE_TYPES:
        raise UnsupportedMedia("samples of this width are not masked here: save them with 32 bits or fewer")


def _seconds(
    source: InputContainer, stream: AudioStream, container: str, built: Structure, limits: AudioLimits
) -> float:
    """Give the length that the header tells; where there is none, count packets without decoding, up to the limit."""
    if container not in ("mp3", "aac") or built.frames:
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return (source.duration or 0) / av.time_base
    seconds = 0.0
    with contextlib.suppress(FFmpegError):  # a damaged end is for the reader to tell
        for packet in source.demux(stream):
            seconds += float((packet.duration or 0) * packet.time_base)
            if seconds > limits.seconds:
                break
    return seconds


def _first_frame(source: InputContainer, stream: AudioStream) -> AudioFrame:
    stream.codec_context.thread_count = 1
    try:
        first = next((frame for frame in first_frames(source, stream, _FIRST_PACKETS) if frame.samples), None)
    except FFmpegError as error:
        raise DamagedMedia("no sound of the file can be read") from error
    if first is not None:
        return first
    if stream.codec_context.codec.canonical_name.startswith("pcm_") or stream.duration == 0:
        raise EmptyMedia("there is no sound in the file: it has no samples")
    raise DamagedMedia("no sound of the file can be decoded")


def _stated(stream: AudioStream, container: str, built: Structure, first: AudioFrame) -> int | None:
    """Give the length in samples where the header knows it: FLAC, MP3 by its Xing header, MP4 by its edit list."""
    knows = container in ("flac", "m4a", "mov") or built.frames
    if not knows or not stream.duration or not stream.time_base:
        return None
    stated = round(stream.duration * stream.time_base * first.sample_rate)
    if container in ("flac", "mp3"):
        return stated
    frame = stream.codec_context.frame_size or 0
    left_out = stream.frames * frame - stated
    return stated if 0 <= left_out < _TRIMMED_FRAMES * max(frame, 1) else None


def _lead(context: AudioCodecContext, container: str, first: AudioFrame) -> int:
    is_aac = container in ("m4a", "mov") and context.codec.canonical_name == "aac"
    return -first.samples % _AAC_FRAME if is_aac else 0


def _notes(source: InputContainer, kept: AudioStream, built: Structure) -> tuple[str, ...]:
    names = []
    for stream in source.streams:
        if stream.index != kept.index:
            names.append("cover" if stream.type == "video" else {"subtitle": "subtitles"}.get(stream.type, stream.type))
    if source.chapters():
        names.append("chapters")
    if telling(source.metadata, kept.metadata):
        names.append("metadata")
    if built.trailing:
        names.append("trailing_data")
    return tuple(dict.fromkeys(f"{name}_dropped" for name in names))
