"""What a video is, by its content, its header and its first frame, before anything else of it is decoded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import numpy as np
from av import VideoFrame as Picture
from av.codec.context import Flags
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge, UnsupportedMedia
from masking.media.tags import telling
from masking.media.video_aperture import Aperture, aperture
from masking.media.video_colour import Colour
from masking.media.video_layout import Layout, native
from masking.media.video_sniff import HEAD_BYTES, container_of
from masking.media.video_turn import Turn

DEMUXERS: Final = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska"}
_MEDIA_TYPES: Final = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
}
_HDR_DATA: Final = frozenset(
    ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_METADATA")
)
_FIRST_PACKETS: Final = 600  # how far the first frame that decodes is looked for


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """The largest video that is taken: bytes of the file, pixels of a frame, its longer side, length in seconds."""

    bytes: int
    pixels: int
    side: int
    seconds: float


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What is known of a video before it is read.

    Attributes:
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.
        codec: FFmpeg's name of the video codec.
        width: columns of the upright picture.
        height: rows of the upright picture.
        turn: how the stored picture becomes upright.
        aperture: what part of the stored picture is shown, None where all of it is.
        matrix: the display matrix as the file has it, None where it has none.
        pixel_format: FFmpeg's name of the samples as the decoder gives them.
        layout: the samples as they are painted.
        colour: what the samples mean.
        fps: mean frames per second, None where unknown.
        frames: about how many frames there are, None where unknown.
        seconds: length as the header tells, 0 where unknown.
        stream: number of the video stream in the file.
        audio: number of the first sound stream, None where there is none.
        bit_rate: bits per second of the video stream or of the file; 0 where unknown.
        dropped: what the copy will not have, e.g. ``subtitles``, ``data``, ``chapters``, ``metadata``, ``alpha``,
            ``video`` (a further one), ``hdr_mastering_data`` (what a display maps brightness by), ``interlacing_flag``
            (the lines stay).
        max_pixels: the limit that the decoder is given, since a stream may change its size.
    """

    container: str
    codec: str
    width: int
    height: int
    turn: Turn
    aperture: Aperture | None
    matrix: tuple[int, ...] | None
    pixel_format: str
    layout: Layout
    colour: Colour
    fps: Fraction | None
    frames: int | None
    seconds: float
    stream: int
    audio: int | None
    bit_rate: int
    dropped: tuple[str, ...]
    max_pixels: int

    @property
    def media_type(self) -> str:
        """The media type as HTTP names it."""
        return _MEDIA_TYPES[self.container]

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound stream."""
        return self.audio is not None

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the picture as it is stored, or of the part of it that is shown."""
        return self.turn.size(self.width, self.height)


def probe_video(path: Path, limits: VideoLimits) -> VideoProbe:
    """Tell what the file at ``path`` is, and refuse what cannot or may not be masked; its name plays no part.

    Raises:
        EmptyMedia: no bytes.
        UnsupportedMedia: not MP4, MOV, MKV or WebM, or without a video stream that can be decoded.
        MediaTooLarge: larger or longer than ``limits`` allow.
        DamagedMedia: the header is corrupt or missing, or there is no frame.
    """
    size = path.stat().st_size
    if size == 0:
        raise EmptyMedia("there are no bytes")
    if size > limits.bytes:
        raise MediaTooLarge(f"the file has more than {limits.bytes} bytes")
    with path.open("rb") as file:
        container = container_of(file.read(HEAD_BYTES))
    if container is None:
        raise UnsupportedMedia("only MP4, MOV, MKV and WebM videos are masked here")
    with open_container(path, container, limits.pixels) as source:
        stream = _best(source)
        _check_size(stream.codec_context.width, stream.codec_context.height, limits)
        seconds = _seconds(source, stream)
        if seconds > limits.seconds:
            raise MediaTooLarge(f"the video is longer than {limits.seconds} seconds")
        first = _first_frame(source, stream, limits.pixels)
        _check_size(first.width, first.height, limits)
        return _described(path, source, stream, first, container, seconds, size, limits.pixels)


def open_container(path: Path, container: str, max_pixels: int) -> InputContainer:
    """Open a file by the demuxer of ``container`` alone, so that no content can name another file or protocol.

    Raises:
        DamagedMedia: it cannot be opened.
    """
    options = {"protocol_whitelist": "file", "max_pixels": str(max_pixels)}
    try:
        return av.open(
            f"file:{path.absolute()}", format=DEMUXERS[container], options=options, metadata_errors="replace"
        )
    except FFmpegError as error:
        raise DamagedMedia("the header of the video is corrupt or missing") from error


def prepare(stream: VideoStream, max_pixels: int) -> VideoCodecContext:
    """Have a stream decoded to no more pixels than are allowed, and to none that are stored but not to be shown."""
    context = stream.codec_context
    context.options = {"max_pixels": str(max_pixels)}
    # By default a decoder leaves columns in the picture that would have its rows begin at odd addresses.
    context.flags |= Flags.unaligned
    return context


def first_pictures(source: InputContainer, stream: VideoStream, packets: int) -> Iterator[Picture]:
    """Yield the frames of the first packets, those passed over that cannot be decoded."""
    for number, packet in enumerate(source.demux(stream)):
        if number >= packets:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def display_matrix(picture: Picture) -> tuple[int, ...] | None:
    """Read the display matrix that the container gave to a frame."""
    for data in cast(Iterable[SideData], picture.side_data):
        if data.type.name == "DISPLAYMATRIX":
            return tuple(int(value) for value in np.frombuffer(bytes(data), np.int32))
    return None


def _best(source: InputContainer) -> VideoStream:
    streams = [stream for stream in source.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise UnsupportedMedia("there is no video in the file")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise UnsupportedMedia("the codec of the video is not known here")
    return next((stream for stream in decodable if stream.disposition & Disposition.default), decodable[0])


def _check_size(width: int, height: int, limits: VideoLimits) -> None:
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise MediaTooLarge(
            f"a video of {width} x {height} pixels is larger than {limits.pixels} pixels or {limits.side} on a side"
        )


def _seconds(source: InputContainer, stream: VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (source.duration or 0) / av.time_base


def _first_frame(source: InputContainer, stream: VideoStream, max_pixels: int) -> Picture:
    prepare(stream, max_pixels).thread_count = 1
    try:
        first = next((p for p in first_pictures(source, stream, _FIRST_PACKETS) if not p.is_corrupt), None)
    except FFmpegError as error:
        raise DamagedMedia("no frame of the video can be read") from error
    if first is None:
        raise DamagedMedia("no frame of the video can be decoded")
    return first


def _described(
    path: Path,
    source: InputContainer,
    stream: VideoStream,
    first: Picture,
    container: str,
    seconds: float,
    size: int,
    max_pixels: int,
) -> VideoProbe:
    matrix = display_matrix(first)
    turn = Turn.of(matrix) if matrix else Turn()
    layout = native(first.format.name)
    stored = first.width, first.height
    part = aperture(path, container, (stream.index, stream.id), stored, layout)
    width, height = turn.size(*(stored if part is None else (part.width, part.height)))
    fps = stream.average_rate or stream.guessed_rate
    frames = stream.frames or (round(seconds * fps) if fps else 0)
    audio = source.streams.audio[0].index if source.streams.audio else None
    bit_rate = stream.codec_context.bit_rate or source.bit_rate or (int(size * 8 / seconds) if seconds else 0)
    return VideoProbe(
        container=container,
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        turn=turn,
        aperture=part,
        matrix=matrix,
        pixel_format=first.format.name,
        layout=layout,
        colour=Colour.of(first.colorspace, first.color_range, layout, first.height),
        fps=fps or None,
        frames=frames or None,
        seconds=seconds,
        stream=stream.index,
        audio=audio,
        bit_rate=bit_rate,
        dropped=(*_dropped(source, stream, first), *_unsaid(first)),
        max_pixels=max_pixels,
    )


def _dropped(source: InputContainer, kept: VideoStream, first: Picture) -> tuple[str, ...]:
    names = []
    audio = 0
    for stream in source.streams:
        audio += stream.type == "audio"
        if stream.index == kept.index or (stream.type == "audio" and audio == 1):
            continue
        cover = stream.type == "video" and stream.disposition & Disposition.attached_pic
        names.append("cover" if cover else {"subtitle": "subtitles"}.get(stream.type, stream.type))
    if source.chapters():
        names.append("chapters")
    if telling(source.metadata, *(stream.metadata for stream in source.streams)):
        names.append("metadata")
    if kept.metadata.get("alpha_mode") == "1" or any(component.is_alpha for component in first.format.components):
        names.append("alpha")
    return tuple(dict.fromkeys(names))


def _unsaid(first: Picture) -> Iterator[str]:
    """Yield what a frame says of itself that an encoder is not told."""
    if not _HDR_DATA.isdisjoint(data.type.name for data in cast(Iterable[SideData], first.side_data)):
        yield "hdr_mastering_data"
    if first.interlaced_frame:
        yield "interlacing_flag"
