"""What a file is to be masked as: by its content, and by its name only where that says nothing."""

import sys
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final

from cli.plan import STREAM
from cli.walk import SOUND_SUFFIXES
from masking.errors import UnsupportedMedia
from masking.media.audio import is_audio, sniff_audio
from masking.media.probe import sniff_image
from masking.media.video import sniff_video

_HEAD_BYTES: Final = 4096
_MASKED_HERE: Final = (
    "photos are JPEG, PNG or WebP, videos MP4, MOV, MKV or WebM, sound WAV, FLAC, MP3, AAC, M4A, Ogg or Opus"
)
_HEIF_BRANDS: Final = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
    b"avif": "AVIF",
    b"avis": "AVIF",
}
_OTHERS: Final = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF or raw photo"),
    (0, b"MM\0*", "TIFF or raw photo"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (8, b"AVI ", "AVI"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"0&\xb2u", "Windows Media file"),
    (0, b"\0\0\x01\xba", "MPEG programme stream"),
    (188, b"G", "MPEG transport stream"),
    (0, b"%PDF", "PDF"),
)
"""Where the mark of a kind stands, the mark, and its name; a transport stream has one in each 188 bytes."""


class Kind(Enum):
    """Which way a file goes."""

    PHOTO = auto()
    VIDEO = auto()
    SOUND = auto()


@dataclass(frozen=True, slots=True)
class Given:
    """A file, or standard input, of which the head is known.

    Attributes:
        source: Its path.
        head: Its first bytes; of standard input, they are read already.
    """

    source: Path
    head: bytes

    @property
    def kind(self) -> Kind:
        """What it is to be masked as; a photo where nothing says what it is, and is refused as such."""
        if sniff_audio(self.head):
            return Kind.SOUND
        if sniff_video(self.head):
            return Kind.SOUND if self.source != STREAM and is_audio(self.source) else Kind.VIDEO
        # An ID3 tag in front can be longer than the head; and what is named sound is refused as sound.
        return Kind.SOUND if self.source.suffix.lower() in SOUND_SUFFIXES else Kind.PHOTO

    def check_photo(self) -> None:
        """Refuse what is masked as a photo only because nothing says what it is; an empty file says so itself.

        Raises:
            UnsupportedMedia: It is no photo that is masked here.
        """
        if not self.head or sniff_image(self.head):
            return
        name = _other(self.head)
        kind = (
            f"{name} is not masked here" if name else "this is no photo, video or sound of a kind that is masked here"
        )
        raise UnsupportedMedia(f"{kind}: {_MASKED_HERE}")

    def read(self, most: int) -> bytes:
        """Read all of it, or one byte more than may be, so that the probe sees that it is too large."""
        if self.source == STREAM:
            return self.head + sys.stdin.buffer.read(most + 1 - len(self.head))
        with self.source.open("rb") as stream:
            return stream.read(most + 1)


def given(source: Path) -> Given:
    """Look at the beginning of a file, or of standard input.

    Raises:
        OSError: It cannot be read.
    """
    if source == STREAM:
        return Given(source, _head(sys.stdin.buffer))
    with source.open("rb") as stream:
        return Given(source, _head(stream))


def _other(head: bytes) -> str:
    """Name a kind that is not masked here; empty where it is not known."""
    if head[4:8] == b"ftyp":
        return _HEIF_BRANDS.get(head[8:12], "")
    return next((name for at, mark, name in _OTHERS if head.startswith(mark, at)), "")


def _head(stream: BinaryIO) -> bytes:
    return stream.read(_HEAD_BYTES)
