"""Write masked sound like the one that it was read from, complete under its name or not at all."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.container.core import Flags
from av.error import FFmpegError
from av.packet import Packet

from masking.errors import DamagedMedia
from masking.media.audio_codec import AudioCoding, audio_coding
from masking.media.audio_encoder import AudioEncoder
from masking.media.audio_probe import AudioProbe
from masking.media.audio_samples import Block
from masking.media.sealed_file import hidden_beside, settle, storage_failure

_MUXERS: Final = {
    "wav": "wav",
    "flac": "flac",
    "mp3": "mp3",
    "aac": "adts",
    "ogg": "ogg",
    "m4a": "ipod",
    "mov": "mov",
    "mkv": "matroska",
    "webm": "webm",
}
_RIFF_BITS: Final = 31e9  # the sizes of a RIFF have 32 bits, and count bytes
_IPOD_CODECS: Final = ("aac", "alac")


class AudioWriter:
    """Writes blocks into a hidden file beside ``path``; ``commit`` puts it in place, leaving without that removes it.

    Container, codec, bits of a sample, rate and channels are those of the probe, and as many samples come out of a
    decoder as were written, unless ``notes`` tell otherwise; metadata, pictures and chapters are left out. A file at
    ``path`` stays as it is until ``commit``. A process that is killed leaves the hidden file, never a half one.

    Args:
        path: where the sound goes.
        probe: what the sound was read from.

    Attributes:
        notes: what is not as it was in the source.
        samples: of each channel, written so far.
    """

    def __init__(self, path: Path, probe: AudioProbe) -> None:
        self.path = path
        self.samples = 0
        self._probe = probe
        self._coding: AudioCoding = audio_coding(probe)
        self.notes: tuple[str, ...] = self._coding.notes
        self._skipped = 1 if probe.container == "aac" else 0
        self._hidden = hidden_beside(path, "sound")
        try:
            self._target = self._opened()
            lead = probe.lead if self._coding.codec == "aac" else 0
            self._encoder = AudioEncoder(self._target, self._coding, probe.rate, -lead)
            self._mux(self._encoder.feed(np.zeros((lead, probe.channels), np.float32)))
        except (FFmpegError, OSError) as error:
            self._hidden.unlink(missing_ok=True)
            raise storage_failure(error, "sound") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def write(self, block: Block) -> None:
        """Encode (n, channels) float32 samples; what is out of [-1, 1] is clipped.

        Raises:
            StorageError: they cannot be written.
            ValueError: another number of channels, or a sample that is no number.
        """
        if block.ndim != 2 or block.shape[1] != self._probe.channels:
            raise ValueError(f"{block.shape} samples do not fit {self._probe.channels} channels")
        if not np.isfinite(block).all():
            raise ValueError("a sample is no number")
        self._mux(self._encoder.feed(block))
        self.samples += len(block)

    def commit(self) -> None:
        """Finish the file and put it in place, on disk before it has its name.

        Raises:
            StorageError: it cannot be written.
            DamagedMedia: no sample was written.
        """
        if not self.samples:
            raise DamagedMedia("there is no sound to write")
        self._mux(self._encoder.finish())
        try:
            self._target.close()
            settle(self._hidden, self.path)
        except (FFmpegError, OSError) as error:
            raise storage_failure(error, "sound") from error

    def discard(self) -> None:
        """Remove what was not committed."""
        with contextlib.suppress(FFmpegError, OSError):
            self._target.close()
        self._hidden.unlink(missing_ok=True)

    def _opened(self) -> OutputContainer:
        kind = self._probe.container
        muxer = _MUXERS[kind]
        if muxer == "ipod" and self._coding.codec not in _IPOD_CODECS:
            muxer = "mp4"
        options = {}
        if kind in ("m4a", "mov"):
            # The length of an edit list counts in units of the film: by default milliseconds, too coarse for a sample.
            options = {"movflags": "+faststart", "movie_timescale": str(self._coding.rate)}
        elif kind == "mp3":
            options = {"id3v2_version": "0"}
        elif kind == "wav" and not 0 < self._probe.seconds * self._probe.bit_rate < _RIFF_BITS:
            options = {"rf64": "auto"}  # only then, since the room that it keeps for a larger header confuses readers
        target = av.open(f"file:{self._hidden.absolute()}", "w", format=muxer, container_options=options)
        target.flags |= cast(int, Flags.bitexact.value)
        return target

    def _mux(self, packets: Iterable["Packet[AudioStream]"]) -> None:
        try:
            for packet in packets:
                if self._skipped:  # ADTS cannot say that its first packet is the encoder's own beginning
                    self._skipped -= 1
                    continue
                self._target.mux(packet)
        except (FFmpegError, OSError) as error:
            raise storage_failure(error, "sound") from error
