"""Sound: a file in, a file with masked voices and a report out, at memory that does not grow with its length.

    probe → read → hear (speech, turns) → convert → write

The file appears under its name only when all of it is masked.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from masking.errors import ModelError
from masking.media.audio import AudioLimits, AudioReader, AudioWriter, Block, open_audio, probe_audio
from masking.media.file_digest import sha256_of
from masking.media.video import VideoProbe
from masking.media.video_track import TrackReader, probe_track
from masking.media.video_voice import VoiceTrack
from masking.observer import Unobserved, VideoObserver
from masking.threads import ahead
from masking.voice.loading import VoiceModel
from masking.voice.mask import of_file
from masking.voice.policy import VoicePolicy
from masking.voice.report import VoiceReport
from masking.voice.sound import alike

DEPTH: Final = 4
"""Blocks that may wait to be masked."""


@dataclass(frozen=True, slots=True)
class MaskedAudio:
    """Masked sound: the bytes of its file, their media type and the report."""

    data: bytes
    media_type: str
    report: VoiceReport


def mask_audio(
    source: Path,
    target: Path,
    policy: VoicePolicy,
    model: VoiceModel,
    limits: AudioLimits,
    observer: VideoObserver | None = None,
) -> VoiceReport:
    """Mask the voices of a sound file.

    Args:
        source: WAV, FLAC, MP3, AAC, M4A or Ogg; its content says which, not its name.
        target: Where the masked sound goes: the same container, rate, channels and length, without metadata. It is
            replaced only when all is done.
        policy: What is wished.
        model: Masks the voices.
        limits: Largest input that is taken.
        observer: Told of the milliseconds of sound that are done, and of how many there are as far as the header tells.

    Raises:
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The model failed.
        StorageError: The target cannot be written.
    """
    observer = observer or Unobserved()
    probe = probe_audio(source, limits)
    total = round(1000 * probe.seconds) or None
    with open_audio(source, probe) as once:
        groups = alike(_watched(once, observer, total), probe.channels) if probe.channels > 1 else (0,)
    stream = of_file(policy, model, probe.rate, groups)
    with open_audio(source, probe) as reader, AudioWriter(target, probe) as writer:
        with ahead(reader, DEPTH) as blocks:
            for block in blocks:
                writer.write(stream.feed(block))
                observer.progress(1000 * writer.samples // probe.rate, total)
        writer.write(stream.finish())
        if writer.samples != reader.samples:
            raise ModelError("the masked sound has not the length of what came in")
        writer.commit()
    report = VoiceReport.of(stream.account, policy, probe.media_type, probe.rate, probe.channels, reader.samples)
    return replace(
        report.by(model),
        notes=tuple(map(str, dict.fromkeys((*reader.notes, *writer.notes)))),
        input_sha256=sha256_of(source),
        output_sha256=sha256_of(target),
        damage=reader.damage or "",
        needs_review=bool(reader.damage),
    )


def mask_audio_bytes(
    data: bytes,
    policy: VoicePolicy,
    model: VoiceModel,
    limits: AudioLimits,
    observer: VideoObserver | None = None,
) -> MaskedAudio:
    """Mask the voices of a sound file in memory, by way of a temporary folder. Arguments and errors as `mask_audio`."""
    with tempfile.TemporaryDirectory(prefix="masking-") as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        source.write_bytes(data)
        report = mask_audio(source, target, policy, model, limits, observer)
        return MaskedAudio(target.read_bytes(), report.kind, report)


def _watched(blocks: AudioReader, observer: VideoObserver, total: int | None) -> Iterator[Block]:
    """Yield the blocks, and let the observer end the work."""
    for block in blocks:
        observer.progress(0, total)
        yield block


class MaskedSound(VoiceTrack):
    """The first sound track of a video with its voices masked; `masking.media.video.VideoWriter` writes it.

    Args:
        path: Of the video.
        probe: What the video is.
        policy: What is wished.
        model: Masks the voices.

    Raises:
        MediaError: There is no sound, or none that can be masked.
        ModelError: From `until` too: the model failed.
    """

    def __init__(self, path: Path, probe: VideoProbe, policy: VoicePolicy, model: VoiceModel) -> None:
        track = probe_track(path, probe, AudioLimits(bytes=path.stat().st_size, seconds=math.inf))
        groups: tuple[int, ...] = (0,)
        if track.channels > 1:
            with closing(TrackReader(path, probe, track)) as pieces:
                groups = alike(pieces, track.channels)
        self._policy, self._model = policy, model
        self._kind, self._heard = probe.media_type, track
        self._stream = of_file(policy, model, track.rate, groups)
        super().__init__(path, probe, track, self._stream.feed, self._stream.finish)

    def report(self) -> VoiceReport:
        """Tell what was done, once all is written; the digests of the files stand in the report of the video."""
        heard, stream = self._heard, self._stream
        report = VoiceReport.of(stream.account, self._policy, self._kind, heard.rate, heard.channels, stream.taken)
        damage = self.damage or ""
        return replace(report.by(self._model), notes=self.notes, damage=damage, needs_review=bool(damage))
