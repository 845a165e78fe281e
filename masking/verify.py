"""A second look at a masked file: does it fit its report, and does anybody still show?

What it can show: that a face which the detector finds, in the original or in the output, lies open in the output; that
one of the two files is not the one that the report is about; that metadata or sound came along. What it cannot: that
there is no face which the detector finds in neither, or that nobody recognises a person by the body, the clothes or
the place. Of a video it looks at a part of the frames unless told to look at all, and listens to all of masked sound.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from masking.errors import DamagedMedia, UnsupportedMedia
from masking.evaluation.open_faces import Finding, Look, look
from masking.face.detectors import Detector
from masking.face.search import search
from masking.media.decoded import Note
from masking.media.file_digest import sha256_of
from masking.media.image import Still, decode, views_at
from masking.media.levels import pale
from masking.media.probe import ImageLimits, probe
from masking.media.video import VideoLimits, sniff_video
from masking.report import SCHEMA, MaskReport, Span, Track
from masking.selection import Selection
from masking.types import Faces
from masking.verify_video import Glass, look_at_video
from masking.verify_voice import listen_to_video, voice_report_of
from masking.voice.vad import Session

_HEAD_BYTES: Final = 4096

_CAME_ALONG: Final = frozenset(
    {
        Note.METADATA_DROPPED,
        Note.EXTRA_PICTURES_DROPPED,
        Note.TRAILING_DATA_DROPPED,
        Note.ORIENTATION_APPLIED,
        Note.ICC_CONVERTED_TO_SRGB,
        Note.ICC_CONVERTED_AT_8_BIT,
        Note.ICC_UNUSABLE_DROPPED,
    }
)
"""What a decoder notes of a picture that holds more than a masked one may."""


@dataclass(frozen=True, slots=True)
class Judge:
    """How to look.

    Attributes:
        detector: Finds the faces.
        images: Largest photo that is taken.
        videos: Largest video that is taken.
        threshold: Score from which a face counts; None is that of the report.
        search: How hard each picture is searched.
        selection: The regions that the file was masked with; faces that a person keeps visible are no finding.
        every: Of a video, every how many frames one is looked at, beside those at the edges of tracks and doubts.
        vad: Session of a detector of speech, for the sound of a video whose voices are masked; None does not listen.
    """

    detector: Detector
    images: ImageLimits
    videos: VideoLimits
    threshold: float | None = None
    search: str = "thorough"
    selection: Selection = field(default_factory=Selection)
    every: int = 10
    vad: Session | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the second look brought.

    Attributes:
        findings: All that should not be as it is; empty if nothing shows.
        faces: Faces found in the looked-at frames of the original, without those that a person keeps visible.
        over_masks: Faces that the detector sees in the output that are nobody's: the artificial ones of the surrogate
            style, and shapes that masks make.
        frames: Frames of the output.
        looked_at: How many of them were looked at.
        unconfirmed: Of a video, shapes that lie open and were taken for a face too weakly and too seldom to be one.
    """

    findings: tuple[Finding, ...]
    faces: int
    over_masks: int
    frames: int
    looked_at: int
    unconfirmed: tuple[Finding, ...] = ()


def verify(source: Path, output: Path, report: MaskReport, judge: Judge) -> Findings:
    """Look at a masked file a second time.

    Args:
        source: The original.
        output: The masked file.
        report: What was said of it.
        judge: How to look.

    Raises:
        MediaError: One of the files cannot be read at all.
        ModelError: The detector failed.
        PolicyError: The selection is of another file.
    """
    hashes = [
        Finding(f"{what}_hash", f"the {what} is not the file that the report is about")
        for what, path, expected in (
            ("input", source, report.input_sha256),
            ("output", output, report.output_sha256),
        )
        if sha256_of(path) != expected
    ]
    kinds = [_is_video(path) for path in (source, output)]
    if kinds[0] != kinds[1]:
        raise UnsupportedMedia("one of the files is a photo, and the other is a video")
    looked = (
        _look_at_video(source, output, report, judge) if kinds[0] else _look_at_photo(source, output, report, judge)
    )
    return replace(looked, findings=(*hashes, *looked.findings))


def read_report(data: bytes) -> MaskReport:
    """Read a report as `MaskReport.as_dict` gives it, as JSON.

    Raises:
        DamagedMedia: It is no report, or of a form that is not known here.
    """
    try:
        values = json.loads(data)
        if values["schema"] != SCHEMA:
            raise DamagedMedia(f"reports of schema {SCHEMA} are read here, and this one is of another")
        known = {each.name for each in fields(MaskReport)}
        plain = {name: _frozen(value) for name, value in values.items() if name in known}
        plain["voice"] = None if values.get("voice") is None else voice_report_of(values["voice"])
        tracks = tuple(Track(**(each | {"spans": _spans(each["spans"])})) for each in values["tracks"])
        report = MaskReport(**(plain | {"tracks": tracks, "doubts": _spans(values["doubts"])}))
        _check_numbers(report)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedMedia("this is no report of a masked file") from error
    return report


def _check_numbers(report: MaskReport) -> None:
    sizes = (report.width, report.height, report.frames)
    if not all(type(size) is int and size >= 0 for size in sizes) or not 0 < float(report.threshold) < 1:
        raise ValueError("a value is out of range")


def _frozen(value: Any) -> Any:  # noqa: ANN401  # values of JSON
    return tuple(value) if isinstance(value, list) else value


def _spans(values: list[Mapping[str, Any]]) -> tuple[Span, ...]:
    return tuple(Span(int(each["first"]), int(each["last"]), str(each["how"])) for each in values)


def _is_video(path: Path) -> bool:
    with path.open("rb") as stream:
        return sniff_video(stream.read(_HEAD_BYTES))


def _threshold(report: MaskReport, judge: Judge) -> float:
    return report.threshold if judge.threshold is None else judge.threshold


def _look_at_photo(source: Path, output: Path, report: MaskReport, judge: Judge) -> Findings:
    before, after = _still(source, judge.images), _still(output, judge.images)
    height, width = after.pixels.shape[:2]
    if before.kind is not after.kind or before.pixels.shape[:2] != (height, width):
        text = "kind or size of the output are not those of the original"
        return Findings((Finding("shape", text),), 0, 0, 1, 0)
    findings = [
        Finding("metadata", f"the output holds more than its picture ({note.removesuffix('_dropped')})")
        for note in after.notes
        if note in _CAME_ALONG
    ]
    if (report.width, report.height) != (width, height):
        findings.append(Finding("shape", "the report tells of another size"))
    look_at, threshold, faces, over = _looking(judge), _threshold(report, judge), 0, 0

    def select(found: Faces) -> Faces:
        return judge.selection.apply(found, width, height)

    # Where alpha hides something in one of the two only, the last view stands for the missing one.
    levels = pale(before.pixels)
    ours, theirs = views_at(before.pixels, levels), views_at(after.pixels, levels)
    for index in range(max(len(ours), len(theirs))):
        looked = look(ours[min(index, len(ours) - 1)], theirs[min(index, len(theirs) - 1)], look_at, threshold, select)
        findings += [each for each in looked.findings if each not in findings]
        faces, over = max(faces, looked.faces), max(over, looked.over_masks)
    return Findings(tuple(findings), faces, over, 1, 1)


def _still(path: Path, limits: ImageLimits) -> Still:
    with path.open("rb") as stream:
        data = stream.read(limits.bytes + 1)
    return decode(data, probe(data, limits))


def _look_at_video(source: Path, output: Path, report: MaskReport, judge: Judge) -> Findings:
    glass = Glass(_looking(judge), _threshold(report, judge), judge.selection, judge.every)
    seen = look_at_video(source, output, report, judge.videos, glass)
    if report.voice is not None and judge.vad is not None:
        seen.findings += listen_to_video(source, output, judge.videos, judge.vad).findings
    return Findings(seen.findings, seen.faces, seen.over_masks, seen.frames, seen.looked_at, seen.unconfirmed)


def _looking(judge: Judge) -> Look:
    def look_at(pixels: NDArray[np.uint8], threshold: float) -> Faces:
        return search(pixels, judge.detector, threshold, judge.search)

    return look_at
