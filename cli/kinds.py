"""What a file is to be masked as: by its content, and by its name only where that says nothing."""

import sys
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final

from cli.marks import HEAD_BYTES, SOUND_SUFFIXES, other
from cli.plan import STREAM
from masking.errors import UnsupportedMedia
from masking.media.audio import is_audio, sniff_audio
from masking.media.probe import sniff_image
from masking.media.video import sniff_video

_MASKED_HERE: Final = (
    "photos are JPEG, PNG or WebP, videos MP4, MOV, MKV or WebM, sound WAV, FLAC, MP3, AAC, M4A, Ogg or Opus"
)


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
        name = other(self.head)
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


def _head(stream: BinaryIO) -> bytes:
    return stream.read(HEAD_BYTES)
