"""A moving picture: a file in, a masked file and a report out, at memory that does not grow with its length.

    probe → read → follow (detect, track, cover) → select → mask → write

Reading, following and writing run side by side, each in a thread of its own with a short queue between them; the frames
go through them in order. The file appears under its name only when all of it is masked.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from masking.errors import Withheld
from masking.evaluation.detection import iou_matrix
from masking.face.cover import draws
from masking.face.detectors import Detector
from masking.face.follow import Covered, Follower, FollowerSettings
from masking.face.maskers import MASKERS, Masker, masker_of
from masking.face.region import Region, regions
from masking.face.search import search
from masking.face.tiles import detect
from masking.media.frame import Frame
from masking.media.video import VideoFrame, VideoLimits, VideoProbe, VideoWriter, open_video, probe_video
from masking.policy import VideoPolicy
from masking.report import MaskReport
from masking.selection import SAME_FACE, Selection
from masking.threads import ahead
from masking.timeline import Timeline
from masking.types import Faces

DEPTH: Final = 4
"""Frames that may wait between two stages."""
LISTED_TRACK: Final = 1 << 32
"""Number of the first track that a person listed; those that were found count from 0."""
CHUNK_BYTES: Final = 1 << 20


class VideoObserver(Protocol):
    """Is told how far the work is. What it raises ends the work, which is how it is cancelled."""

    def progress(self, done: int, total: int | None) -> None:
        """Told after each frame: how many are done, and how many there are as far as the header tells."""


class Unobserved:
    """An observer that does nothing."""

    def progress(self, done: int, total: int | None) -> None:
        """Do nothing."""


def mask_video(
    source: Path,
    target: Path,
    policy: VideoPolicy,
    detector: Detector,
    limits: VideoLimits,
    observer: VideoObserver | None = None,
    maskers: Mapping[str, Masker] = MASKERS,
) -> MaskReport:
    """Mask every face of a video.

    Args:
        source: MP4, MOV, MKV or WebM; its content says which, not its name.
        target: Where the masked video goes: the same container, size, times and rotation, without metadata. It is
            replaced only when all is done.
        policy: What is wished.
        detector: Finds the faces.
        limits: Largest input that is taken.
        observer: Told of every frame.
        maskers: The styles that can be had, by name.

    Raises:
        PolicyError: The style is not among the maskers.
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The detector failed.
        StorageError: The target cannot be written.
        Withheld: Frames are in doubt and the policy is to give nothing then.
    """
    masker = masker_of(policy.style, maskers)
    observer = observer or Unobserved()
    probe = probe_video(source, limits)
    timeline = Timeline()
    with open_video(source, probe) as reader, VideoWriter(target, reader, sound=policy.sound) as writer:
        with ahead(reader, DEPTH) as read, ahead(_followed(read, policy, detector), DEPTH) as stream:
            for covered in stream:
                _paint(covered, policy, masker, timeline)
                writer.write(covered.frame)
                observer.progress(timeline.frames, probe.frames)
        if timeline.doubts and policy.doubt == "withhold":
            raise Withheld(f"stretches of the video that are in doubt: {len(timeline.doubts)}")
        writer.commit()
    return _report(source, target, policy, probe, timeline, (*reader.notes, *writer.notes), reader.damage)


def detect_video(
    source: Path,
    policy: VideoPolicy,
    detector: Detector,
    limits: VideoLimits,
    observer: VideoObserver | None = None,
) -> Iterator[tuple[int, Faces, tuple[int, ...]]]:
    """Yield what `mask_video` would cover: number of the frame, its faces, their tracks. Errors as there."""
    observer = observer or Unobserved()
    probe = probe_video(source, limits)
    with (
        open_video(source, probe) as reader,
        ahead(reader, DEPTH) as read,
        ahead(_followed(read, policy, detector), DEPTH) as stream,
    ):
        for done, covered in enumerate(stream, start=1):
            faces, tracks, _ = _selected(covered, policy.selection)
            yield covered.frame.index, faces, tracks
            observer.progress(done, probe.frames)


def looking(detector: Detector, effort: str) -> Callable[[Frame, float, float], Faces]:
    """Return what looks at a frame for a `Follower`: at a scale, from a score on, in pixels of the full frame.

    Args:
        detector: Finds the faces.
        effort: ``fast`` sees a frame once: the frames around it are seen at another scale, and what they find is
            carried into it. Any other is the effort of a `search`.
    """

    def look(frame: Frame, scale: float, threshold: float) -> Faces:
        pixels = frame.rgb(scale)
        once = effort == "fast"
        found = detect(pixels, detector, threshold) if once else search(pixels, detector, threshold, effort)
        by = np.array([frame.width / pixels.shape[1], frame.height / pixels.shape[0]], np.float32)
        return Faces(found.boxes * np.tile(by, 2), found.scores, found.landmarks * by)

    return look


def _followed(frames: Iterable[VideoFrame], policy: VideoPolicy, detector: Detector) -> Iterator[Covered[VideoFrame]]:
    follower = Follower[VideoFrame](looking(detector, policy.search), FollowerSettings(threshold=policy.threshold))
    for frame in frames:
        yield from follower.feed(frame)
    yield from follower.finish()


def _paint(covered: Covered[VideoFrame], policy: VideoPolicy, masker: Masker, timeline: Timeline) -> None:
    """Mask one frame in place; every style reads its patches before any of them is painted over."""
    frame = covered.frame
    faces, tracks, how = _selected(covered, policy.selection)
    timeline.add(frame.index, frame.seconds, tracks, [float(score) for score in faces.scores], how)
    if covered.doubt:
        timeline.doubt(frame.index, covered.doubt)
        frame.blacken()
        return
    places = list(regions(faces, frame.width, frame.height, draws(policy.key, tracks)))
    if policy.style == "solid":
        _blacken(frame, places)
        return
    for region in sorted(places, key=lambda region: region.face.face_px):
        patch = frame.patch(region.rows, region.columns)
        painted = masker(patch, region.face, has_alpha=False)
        frame.put(region.rows, region.columns, np.asarray(painted, np.uint8), region.inside)


def _blacken(frame: VideoFrame, places: Sequence[Region]) -> None:
    """Make all areas black in one go: their masks overlap, and one large piece costs less than many small ones."""
    if not places:
        return
    rows = slice(min(place.rows.start for place in places), max(place.rows.stop for place in places))
    columns = slice(min(place.columns.start for place in places), max(place.columns.stop for place in places))
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    for place in places:
        top, left = place.rows.start - rows.start, place.columns.start - columns.start
        height, width = place.inside.shape
        inside[top : top + height, left : left + width] |= place.inside
    frame.fill(rows, columns, inside)


def _selected(covered: Covered[VideoFrame], selection: Selection) -> tuple[Faces, tuple[int, ...], tuple[str, ...]]:
    """Apply what a person listed, and find out which track each face that is left belongs to."""
    frame = covered.frame
    if not selection.rows and not selection.only:
        return covered.faces, covered.tracks, covered.how
    faces = selection.apply(covered.faces, frame.width, frame.height, frame.index)
    overlap = iou_matrix(faces.boxes, covered.faces.boxes)
    tracks, how = [], []
    for index in range(len(faces)):
        same = int(overlap[index].argmax()) if overlap.shape[1] else -1
        found = same >= 0 and overlap[index, same] >= SAME_FACE
        tracks.append(covered.tracks[same] if found else LISTED_TRACK + index)
        how.append(covered.how[same] if found else "listed")
    return faces, tuple(tracks), tuple(how)


def _report(
    source: Path,
    target: Path,
    policy: VideoPolicy,
    probe: VideoProbe,
    timeline: Timeline,
    notes: Sequence[str],
    damage: str | None,
) -> MaskReport:
    tracks = timeline.tracks
    return MaskReport(
        kind=probe.media_type,
        width=probe.width,
        height=probe.height,
        faces=len(tracks),
        scores=tuple(sorted((track.score for track in tracks), reverse=True)),
        style=policy.style,
        threshold=policy.threshold,
        search=policy.search,
        policy=policy.digest,
        notes=tuple(map(str, notes)),
        input_sha256=sha256_of(source),
        output_sha256=sha256_of(target),
        frames=timeline.frames,
        seconds=round(timeline.seconds, 3),
        tracks=tracks,
        doubts=timeline.doubts,
        damage=damage or "",
        needs_review=bool(timeline.doubts or damage),
    )


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file, hex, reading a piece at a time."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(partial(file.read, CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()
