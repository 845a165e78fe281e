"""What kind of sound file a file is, by its first bytes; its name plays no part."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from masking.media import video_sniff

HEAD_BYTES: Final = video_sniff.HEAD_BYTES

_RIFF: Final = (b"RIFF", b"RF64", b"BW64")  # big-endian RIFX is left out: FFmpeg reads its samples as noise
_OGG: Final = b"OggS"
_OGG_PICTURES: Final = (b"\x80theora", b"BBCD\0", b"\x01video\0", b"OVP80")
_SOUND_BRANDS: Final = (b"M4A ", b"M4B ", b"F4A ", b"F4B ")
_ID3: Final = b"ID3"
_TAGS_BEHIND: Final = (b"TAG", b"APETAGEX")
_FRAMES_INSIDE: Final = 3
_ID3_TAGS: Final = 4  # more than one tag in front is an accident that happens
_LAYER_3_BIT_RATES: Final = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),  # MPEG-1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG-2
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG-2.5
}
_LAYER_3_RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def sniff_audio(head: bytes) -> bool:
    """Tell whether a file that begins with ``head`` (some 64 bytes) is a sound file that is masked here.

    Ask this before ``sniff_video``: an M4A is an MP4 as well. MP4, MOV, MKV and WebM without pictures say so only
    further inside; ``is_audio`` looks there.
    """
    return container_of(head) is not None


def container_of(head: bytes) -> str | None:
    """Name the container: ``wav``, ``flac``, ``mp3``, ``aac``, ``ogg`` or ``m4a``; None for anything else."""
    if head[:4] in _RIFF:
        return "wav" if head[8:12] == b"WAVE" else None
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(_OGG):
        return None if any(mark in head for mark in _OGG_PICTURES) else "ogg"
    if head[4:8] == b"ftyp":
        return "m4a" if head[8:12] in _SOUND_BRANDS else None
    if head.startswith(_ID3):
        return container_of(head[_id3_bytes(head) :]) or ("mp3" if _id3_bytes(head) + 4 > len(head) else None)
    return _raw_kind(head)


def kind_of(path: Path) -> str | None:
    """Name the container of a file, as ``container_of``, also behind ID3 tags of any length, and ``mp4`` and the like.

    MP4, MOV, MKV and WebM are named ``m4a``, ``mov``, ``mkv`` and ``webm``, whether or not there are pictures in them.
    """
    with path.open("rb") as file:
        at = id3_end(file)
        file.seek(at)
        head = file.read(HEAD_BYTES)
    found = container_of(head)
    if found is None and at == 0:
        found = video_sniff.container_of(head)
    return "m4a" if found == "mp4" else found


def id3_end(file: BinaryIO) -> int:
    """Give the byte behind the ID3v2 tags at the start of a file; 0 where there are none."""
    at = 0
    for _ in range(_ID3_TAGS):
        file.seek(at)
        head = file.read(10)
        if not head.startswith(_ID3):
            break
        at += _id3_bytes(head)
    return at


def layer_3_frame_bytes(header: bytes) -> int:
    """Give the length of an MPEG layer III frame that begins with these 4 bytes (ISO/IEC 11172-3); 0 for no such."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3:
        return 0
    kilobits = _LAYER_3_BIT_RATES[version][bit_rate]
    factor = 144 if version == 3 else 72
    return factor * kilobits * 1000 // _LAYER_3_RATES[version][rate] + (header[2] >> 1 & 1) if kilobits else 0


def _raw_kind(head: bytes) -> str | None:
    """Tell streams without a container apart: the mark of a frame is short, so the next ones have to be there too.

    A stream that was cut anywhere begins in the middle of a frame, so that more frames are asked for further inside.
    """
    for kind, frame_bytes in (("mp3", layer_3_frame_bytes), ("aac", _adts_frame_bytes)):
        if _frames_at(head, 0, frame_bytes) >= 1:
            return kind
        at = head.find(b"\xff", 1)
        while at > 0:
            if _frames_at(head, at, frame_bytes) >= _FRAMES_INSIDE:
                return kind
            at = head.find(b"\xff", at + 1)
    return None


def _frames_at(head: bytes, at: int, frame_bytes: Callable[[bytes], int]) -> int:
    """Count the frames that follow each other from ``at`` on, each with a good beginning; 0 where one is not behind."""
    count = 0
    while length := frame_bytes(head[at : at + 7]):
        count += 1
        at += length
        if at + 7 > len(head) or head[at:].startswith(_TAGS_BEHIND):
            return count
    return 0


def _adts_frame_bytes(header: bytes) -> int:
    """Give the length of an ADTS frame (ISO/IEC 13818-7, 6.2) that begins with these 7 bytes; 0 for no such."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0


def _id3_bytes(head: bytes) -> int:
    """Give the length of the ID3v2 tag at the start (its size has 7 bits a byte)."""
    if len(head) < 10:
        return 10
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)
