"""The second look at a masked video: frame beside frame with the original.

Of the frames that are due, and of those beside the edges of what the report tells, each is searched. Two things make
the next frame due as well: where a face was covered a moment ago, the picture is now as in the original; or something
lies open of which more looks could tell whether it is a face (`masking.evaluation.places`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.likeness import OPEN, likeness
from masking.evaluation.open_faces import Finding, Look, look
from masking.evaluation.places import Places
from masking.media.video import VideoFrame, VideoLimits, VideoProbe, open_video, probe_video
from masking.report import MaskReport
from masking.selection import Selection

MOST_APART: Final = 0.01
"""Seconds by which a frame may be presented otherwise than in the original: containers round times."""


@dataclass(slots=True)
class Seen:
    """What was seen so far; see `masking.verify.Findings`."""

    findings: tuple[Finding, ...] = ()
    unconfirmed: tuple[Finding, ...] = ()
    faces: int = 0
    over_masks: int = 0
    frames: int = 0
    looked_at: int = 0
    furthest: float = 0.0
    places: Places = field(default_factory=Places)
    covered: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@dataclass(frozen=True, slots=True)
class Glass:
    """How the frames are looked at.

    Attributes:
        look_at: Finds the faces of a picture.
        threshold: Score from which a face counts.
        selection: The regions that the video was masked with.
        every: Every how many frames one is looked at; 1 looks at all.
    """

    look_at: Look
    threshold: float
    selection: Selection
    every: int


def look_at_video(source: Path, output: Path, report: MaskReport, limits: VideoLimits, glass: Glass) -> Seen:
    """Look at a masked video beside its original.

    Args:
        source: The original.
        output: The masked video.
        report: What was said of it; frames at the edges of its tracks and doubts are looked at in any case.
        limits: Largest video that is taken.
        glass: How to look.

    Raises:
        MediaError: One of the files cannot be read.
    """
    ours, theirs = probe_video(source, limits), probe_video(output, limits)
    seen = Seen(tuple(_came_along(ours, theirs, report)))
    if (ours.container, ours.width, ours.height) != (theirs.container, theirs.width, theirs.height):
        seen.findings += (Finding("shape", "container or size of the output are not those of the original"),)
        return seen
    edges = _edges(report)
    with open_video(source, ours) as one, open_video(output, theirs) as other:
        left, right = iter(one), iter(other)
        for before, after in zip(left, right, strict=False):
            seen.furthest = max(seen.furthest, abs(before.seconds - after.seconds))
            due = seen.frames % glass.every == 0 or seen.frames in edges or seen.places.in_question
            if due or _uncovered(before, after, seen.covered):
                _look(before, after, glass, seen)
            seen.frames += 1
        surplus = next(left, None) or next(right, None)
    seen.findings += (*seen.places.confirmed(), *_length(seen, report, surplus))
    seen.unconfirmed = tuple(seen.places.unconfirmed())
    return seen


def _look(before: VideoFrame, after: VideoFrame, glass: Glass, seen: Seen) -> None:
    looked = look(
        before.rgb(),
        after.rgb(),
        glass.look_at,
        glass.threshold,
        lambda found: glass.selection.apply(found, before.width, before.height, before.index),
        before.index,
    )
    seen.places.take(looked.findings)
    seen.covered = looked.covered
    seen.faces += looked.faces
    seen.over_masks += looked.over_masks
    seen.looked_at += 1


def _uncovered(before: VideoFrame, after: VideoFrame, boxes: NDArray[np.float32]) -> bool:
    """Tell whether the picture is as in the original where a face was covered when it was looked at last."""
    if not len(boxes):
        return False
    old, new = before.rgb(), after.rgb()
    return any(likeness(old, new, box) >= OPEN for box in boxes)


def _edges(report: MaskReport) -> frozenset[int]:
    """Give the first and last frames of tracks, of gaps in them and of doubts, and the frames beside."""
    spans = [*report.doubts, *(span for track in report.tracks for span in track.spans)]
    return frozenset(edge + step for span in spans for edge in (span.first, span.last) for step in (-1, 0, 1))


def _length(seen: Seen, report: MaskReport, surplus: VideoFrame | None) -> Iterator[Finding]:
    if surplus is not None or seen.frames != report.frames:
        yield Finding("frames", "original, output and report do not have the same number of frames")
    if seen.furthest > MOST_APART:
        yield Finding("times", f"a frame is presented {seen.furthest:.3f} s beside its time in the original")


def _came_along(ours: VideoProbe, theirs: VideoProbe, report: MaskReport) -> Iterator[Finding]:
    """Yield what the output holds beside its picture."""
    for name in theirs.dropped:
        yield Finding("metadata", f"the output holds more than its picture ({name})")
    if theirs.has_sound and ("sound_dropped" in report.notes or not ours.has_sound):
        yield Finding("sound", "the output has sound, though it was dropped")
