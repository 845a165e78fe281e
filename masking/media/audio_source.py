"""A sound file, opened: its sound stream, and the first frames of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from masking.errors import DamagedMedia, UnsupportedMedia

_DEMUXERS: Final = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "aac": "aac",
    "ogg": "ogg",
    "m4a": "mov",
    "mov": "mov",
    "mkv": "matroska",
    "webm": "matroska",
}


def open_container(path: Path, container: str) -> InputContainer:
    """Open a file by the demuxer of ``container`` alone, so that no content can name another file or protocol.

    Raises:
        DamagedMedia: it cannot be opened.
    """
    try:
        return av.open(
            f"file:{path.absolute()}",
            format=_DEMUXERS[container],
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except FFmpegError as error:
        raise DamagedMedia("the header of the sound is corrupt or missing") from error


def first_frames(source: InputContainer, stream: AudioStream, packets: int) -> Iterator[AudioFrame]:
    """Yield the frames of the first packets, those passed over that cannot be decoded."""
    for number, packet in enumerate(source.demux(stream)):
        if number >= packets:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            continue


def sound_of(source: InputContainer) -> AudioStream:
    """Give the first sound stream of a file that has no pictures but a cover.

    Raises:
        UnsupportedMedia: there are pictures, or no sound that can be decoded.
    """
    if has_pictures(source):
        raise UnsupportedMedia("there are pictures in the file: mask it as a video")
    if not source.streams.audio:
        raise UnsupportedMedia("there is no sound in the file")
    decodable = [stream for stream in source.streams.audio if stream.codec_context is not None]
    if not decodable:
        raise UnsupportedMedia("the codec of the sound is not known here")
    return decodable[0]


def has_pictures(source: InputContainer) -> bool:
    """Tell whether there is a video stream that is not a cover."""
    return any(not stream.disposition & Disposition.attached_pic for stream in source.streams.video)
