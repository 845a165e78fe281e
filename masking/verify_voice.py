"""A second hearing of masked sound: does it fit its report, and did anybody's voice come through?

What it can show: that a stretch of speech is in the output as it was in the original, that one of the two files is not
the one that the report is about, that length, rate or channels are other ones, that metadata came along. What it
cannot: that nobody knows a masked voice again; how well that is done is measured over many people at once.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from masking.errors import DamagedMedia
from masking.evaluation.open_faces import Finding
from masking.evaluation.open_voices import Comparison, side_by_side
from masking.media.audio import AudioLimits, AudioProbe, open_audio, probe_audio
from masking.media.file_digest import sha256_of
from masking.media.video import VideoLimits, probe_video
from masking.media.video_track import TrackReader, probe_track
from masking.version import SCHEMA
from masking.voice.report import Utterance, VoiceReport
from masking.voice.resample import Block, Resampler
from masking.voice.types import RATE
from masking.voice.vad import Session

_CHANGED_RATE: Final = "rate_changed"
_MOST_APART: Final = 0.1
"""Seconds by which the sound of two videos may differ in length: codecs come in whole packets."""


@dataclass(frozen=True, slots=True)
class Ear:
    """How to listen.

    Attributes:
        vad: Session of the detector of speech.
        limits: Largest sound that is taken.
    """

    vad: Session
    limits: AudioLimits


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a second hearing brought.

    Attributes:
        findings: All that should not be as it is; empty if nothing was heard.
        seconds: How long the output lasts.
        speech_seconds: How much speech of the original was compared.
        open_seconds: How much of it is in the output as it was.
    """

    findings: tuple[Finding, ...]
    seconds: float
    speech_seconds: float
    open_seconds: float


def verify_sound(source: Path, output: Path, report: VoiceReport, ear: Ear) -> Hearing:
    """Listen to a masked file beside its original.

    Raises:
        MediaError: One of the files cannot be read at all.
        ModelError: The detector of speech failed.
    """
    ours, theirs = probe_audio(source, ear.limits), probe_audio(output, ear.limits)
    findings = [*_hashes(source, output, report), *_shape(ours, theirs, report), *_came_along(theirs)]
    if ours.channels != theirs.channels:
        return Hearing(tuple(findings), theirs.seconds, 0.0, 0.0)
    with open_audio(source, ours) as before, open_audio(output, theirs) as after:
        comparison = Comparison(ear.vad, ours.channels)
        pairs = side_by_side(_inside(before, ours.rate), _inside(after, theirs.rate))
        for one, other in pairs:
            comparison.feed(one, other)
        comparison.finish()
        lengths = before.samples / ours.rate, after.samples / theirs.rate
    if round(lengths[0] * theirs.rate) != after.samples:
        findings.append(Finding("length", f"the output lasts {lengths[1]:.4f} s, the original {lengths[0]:.4f} s"))
    return Hearing((*findings, *comparison.findings()), lengths[1], comparison.heard, comparison.open)


def listen_to_video(source: Path, output: Path, limits: VideoLimits, vad: Session) -> Hearing:
    """Listen to the sound of a masked video beside that of its original. Errors as `verify_sound`."""
    clips = probe_video(source, limits), probe_video(output, limits)
    if not all(clip.has_sound for clip in clips):
        return Hearing((Finding("sound", "the sound of the original or of the output is missing"),), 0.0, 0.0, 0.0)
    most = AudioLimits(limits.bytes, limits.seconds)
    ours, theirs = (probe_track(path, clip, most) for path, clip in zip((source, output), clips, strict=True))
    if ours.channels != theirs.channels:
        text = "the sound of the output has other channels than that of the original"
        return Hearing((Finding("shape", text),), 0.0, 0.0, 0.0)
    comparison = Comparison(vad, ours.channels)
    with (
        closing(TrackReader(source, clips[0], ours)) as before,
        closing(TrackReader(output, clips[1], theirs)) as after,
    ):
        late = round(float(theirs.start - ours.start) * RATE)
        one = Counted(_after(-late, ours.channels, _inside(before, ours.rate)))
        other = Counted(_after(late, theirs.channels, _inside(after, theirs.rate)))
        for pair in side_by_side(one, other):
            comparison.feed(*pair)
        comparison.finish()
    findings = list(comparison.findings())
    if abs(one.count - other.count) > _MOST_APART * RATE:
        findings.append(Finding("length", "the sound of the output is not as long as that of the original"))
    return Hearing(tuple(findings), other.count / RATE, comparison.heard, comparison.open)


class Counted:
    """Blocks that are counted as they go by.

    Attributes:
        count: Samples of each channel so far.
    """

    def __init__(self, blocks: Iterator[Block]) -> None:
        self.count = 0
        self._blocks = blocks

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        block = next(self._blocks)
        self.count += len(block)
        return block


def _after(samples: int, channels: int, blocks: Iterator[Block]) -> Iterator[Block]:
    """Put silence before blocks at 16 kHz: one of two sounds may begin later in its file."""
    if samples > 0:
        yield np.zeros((samples, channels), np.float32)
    yield from blocks


def _inside(blocks: Iterable[Block], rate: int) -> Iterator[Block]:
    """Bring blocks to 16 kHz."""
    resampler, count = None, 0
    for block in blocks:
        resampler = resampler or Resampler(rate, RATE, block.shape[1])
        count += len(block)
        yield resampler.feed(block)
    if resampler is not None:
        yield resampler.finish(-(-count * RATE // rate))


def _hashes(source: Path, output: Path, report: VoiceReport) -> Iterator[Finding]:
    for what, path, expected in (("input", source, report.input_sha256), ("output", output, report.output_sha256)):
        if sha256_of(path) != expected:
            yield Finding(f"{what}_hash", f"the {what} is not the file that the report is about")


def _shape(ours: AudioProbe, theirs: AudioProbe, report: VoiceReport) -> Iterator[Finding]:
    if ours.container != theirs.container or ours.channels != theirs.channels:
        yield Finding("shape", "container or channels of the output are not those of the original")
    told = any(note.startswith(_CHANGED_RATE) for note in report.notes)
    if ours.rate != theirs.rate and not told:
        yield Finding("shape", "the rate of the output is not that of the original")
    if (report.rate, report.channels) != (ours.rate, ours.channels):
        yield Finding("shape", "the report tells of another rate or other channels")


def _came_along(theirs: AudioProbe) -> Iterator[Finding]:
    for note in theirs.notes:
        yield Finding("metadata", f"the output holds more than its sound ({note.removesuffix('_dropped')})")


def read_voice_report(data: bytes) -> VoiceReport:
    """Read a report as `VoiceReport.as_dict` gives it, as JSON.

    Raises:
        DamagedMedia: It is no report, or of a form that is not known here.
    """
    try:
        return voice_report_of(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise DamagedMedia("this is no report of masked sound") from error


def voice_report_of(values: Any) -> VoiceReport:  # noqa: ANN401  # values of JSON
    """Make a report of values of JSON. Raises DamagedMedia if they are none."""
    try:
        if values["schema"] != SCHEMA:
            raise DamagedMedia(f"reports of schema {SCHEMA} are read here, and this one is of another")
        known = {each.name for each in fields(VoiceReport)}
        plain = {name: value for name, value in values.items() if name in known}
        spoken = tuple(Utterance(**each) for each in values["utterances"])
        report = VoiceReport(**(plain | {"utterances": spoken, "notes": tuple(values["notes"])}))
        if not (type(report.rate) is int and type(report.channels) is int and float(report.seconds) >= 0):
            raise ValueError("a value is out of range")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedMedia("this is no report of masked sound") from error
    return report
