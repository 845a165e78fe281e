"""Read a sound file in blocks of half a second, up to its end or to the first damage."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from masking.errors import DamagedMedia, EmptyMedia, MediaTooLarge
from masking.media.audio_frames import GoodFrames
from masking.media.audio_probe import AudioProbe
from masking.media.audio_samples import Block, finite
from masking.media.audio_source import open_container

BLOCKS_A_SECOND: Final = 2
_SLACK: Final = {"mp3": 2 * 1152}  # some encoders count the frame of the header itself


class AudioReader:
    """An iterator over the samples of a sound file, to be used as a context manager; only some blocks are held.

    Reading ends at the first damage, see ``GoodFrames``. Samples that are no number become 0, those out of range are
    clipped; both are noted, the second only where the file keeps numbers and not a codec's approximation.

    Attributes:
        probe: what the sound is.
        path: where it is.
        samples: of each channel, handed out so far.
    """

    def __init__(self, path: Path, probe: AudioProbe) -> None:
        self.path = path
        self.probe = probe
        self._short: str | None = None
        self.samples = 0
        self._notes: dict[str, None] = dict.fromkeys(probe.notes)
        self._source = open_container(path, probe.container)
        stream = cast(AudioStream, self._source.streams[probe.stream])
        if probe.codec == "flac":
            stream.codec_context.options = {"err_detect": "crccheck+bitstream+buffer+explode"}
        numbered = probe.container in ("flac", "ogg")
        self._frames = GoodFrames(self._source, stream, probe.rate, probe.channels, probe.broken_at, numbered=numbered)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as it was in the file, as far as it was read."""
        return (*self._notes, *self._frames.notes)

    @property
    def damage(self) -> str | None:
        """Why reading ended before the end of the sound; None while it has not."""
        return self._frames.damage or self._short

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def __iter__(self) -> Iterator[Block]:
        """Yield (n, channels) blocks, each of half a second but for the last; once.

        Raises:
            EmptyMedia: there is not one sample.
            DamagedMedia: nothing of it can be decoded.
            UnsupportedMedia: the rate or the number of channels changes on the way.
            MediaTooLarge: there is more than the header stated, and more than the limits allow.
        """
        most = int(self.probe.max_seconds * self.probe.rate)
        for block in in_blocks(self._decoded(), max(1, self.probe.rate // BLOCKS_A_SECOND)):
            self.samples += len(block)
            if self.samples > most:
                raise MediaTooLarge(
                    f"the sound is longer than {self.probe.max_seconds:g} seconds: cut it into shorter pieces"
                )
            yield block
        if self.samples == 0 and self.damage is None and not self._frames.notes:
            raise EmptyMedia("there is no sound in the file: it has no samples")
        if self.samples == 0:
            raise DamagedMedia("no sound of the file can be decoded")
        if self.probe.broken_at is not None or self._is_short():
            self._short = "the file ends too early"

    def _is_short(self) -> bool:
        stated = self.probe.samples
        return stated is not None and self.samples < stated - _SLACK.get(self.probe.container, 0)

    def _decoded(self) -> Iterator[Block]:
        """Yield the samples of the frames; what an edit list leaves out at the end is padding of the encoder."""
        left = self.probe.samples if self.probe.container in ("m4a", "mov") else None
        for frame in self._frames:
            samples, notes = finite(frame, exact=self.probe.codec.startswith("pcm_"))
            self._notes.update(dict.fromkeys(notes))
            if left is not None:
                samples = samples[:left]
                left -= len(samples)
            yield samples


def open_audio(path: Path, probe: AudioProbe) -> AudioReader:
    """Open a sound file that was probed; ``AudioReader`` says how it is read.

    Raises:
        DamagedMedia: it can no longer be opened.
    """
    return AudioReader(path, probe)


def in_blocks(pieces: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """Cut pieces of any lengths into blocks of ``size`` rows; the last one may be shorter, and is not empty."""
    held: list[NDArray[np.float32]] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count < size:
            continue
        whole = np.concatenate(held)
        cut = count - count % size
        for start in range(0, cut, size):
            yield whole[start : start + size]
        held, count = [whole[cut:]], count - cut
    if count:
        yield np.concatenate(held)
