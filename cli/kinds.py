"""What a file is to be masked as: by its content, and by its name only where that says nothing."""

import sys
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO, Final

from cli.plan import STREAM
from cli.walk import SOUND_SUFFIXES
from masking.media.audio import is_audio, sniff_audio
from masking.media.video import sniff_video

_HEAD_BYTES: Final = 4096


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
    return stream.read(_HEAD_BYTES)
