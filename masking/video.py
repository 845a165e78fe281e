"""A moving picture: a file in, a masked file and a report out, at memory that does not grow with its length.

    probe → read → follow (detect, track, cover) → select → mask → write

Reading, following and writing run side by side, each in a thread of its own; the frames go through them in order, and
only so many are under way at one time. The file appears under its name only when all of it is masked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.audio import MaskedSound
from masking.errors import PolicyError, Withheld
from masking.evaluation.detection import iou_matrix
from masking.face.cover import draws, strokes
from masking.face.detectors import Detector
from masking.face.follow import Covered, Follower, FollowerSettings
from masking.face.maskers import FIGURATIVE, MASKERS, Masker, masker_of
from masking.face.region import Region, regions, silhouette
from masking.face.search import search
from masking.face.seen import Seen
from masking.face.surrogates.tones import ToneKeeper
from masking.face.tiles import detect
from masking.media.file_digest import sha256_of
from masking.media.frame import Frame
from masking.media.video import (
    NotJoinable,
    VideoFrame,
    VideoLimits,
    VideoProbe,
    VideoReader,
    VideoWriter,
    joinable,
    open_video,
    probe_video,
)
from masking.observer import Unobserved, VideoObserver
from masking.policy import VideoPolicy
from masking.report import MaskReport
from masking.selection import SAME_FACE, Selection
from masking.threads import Room, ahead
from masking.timeline import Timeline
from masking.types import Faces
from masking.voice.loading import VoiceModel

WAITING_PIXELS: Final = 42_000_000
"""Pixels of the frames that may wait for a stage, beside those that are held back to be corrected: a look takes as long
as the coding of many frames, and neither shall wait for the other."""
LEAST_WAITING, MOST_WAITING = 8, 24
"""The same in frames, at least and at most."""
LISTED_TRACK: Final = 1 << 32
"""Number of the first track that a person listed; those that were found count from 0."""


def mask_video(
    source: Path,
    target: Path,
    policy: VideoPolicy,
    detector: Detector,
    limits: VideoLimits,
    observer: VideoObserver | None = None,
    maskers: Mapping[str, Masker] = MASKERS,
    voice_model: VoiceModel | None = None,
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
        voice_model: Masks the voices, where the policy wants it.

    Raises:
        PolicyError: The style is not among the maskers, or voices are to be masked without a model.
        MediaError: The input's fault; see `masking.errors` for which.
        ModelError: The detector or the voice model failed.
        StorageError: The target cannot be written.
        Withheld: Frames are in doubt and the policy is to give nothing then.
    """
    masker = masker_of(policy.style, maskers)
    observer = observer or Unobserved()
    probe = probe_video(source, limits)

    def masked(*, copy: bool) -> MaskReport:
        return _masked(source, target, policy, detector, probe, observer, masker, voice_model, copy=copy)

    if policy.untouched == "copy" and joinable(source, probe):
        with suppress(NotJoinable):
            return masked(copy=True)
    return masked(copy=False)


def _masked(
    source: Path,
    target: Path,
    policy: VideoPolicy,
    detector: Detector,
    probe: VideoProbe,
    observer: VideoObserver,
    masker: Masker,
    voice_model: VoiceModel | None,
    *,
    copy: bool,
) -> MaskReport:
    timeline = Timeline()
    tones = ToneKeeper() if policy.tone == "keep" else None
    with (
        open_video(source, probe) as reader,
        _sound(source, probe, policy, voice_model) as sound,
        VideoWriter(target, reader, sound=sound, copy=copy) as writer,
    ):
        with _stream(reader, policy, detector) as stream:
            for covered in stream:
                untouched = _paint(covered, policy, masker, timeline, tones)
                writer.write(covered.frame, untouched=untouched)
                observer.progress(timeline.frames, probe.frames)
        if timeline.doubts and policy.doubt == "withhold":
            raise Withheld(f"stretches of the video that are in doubt: {len(timeline.doubts)}")
        writer.commit()
    report = _report(source, target, policy, probe, timeline, (*reader.notes, *writer.notes), reader.damage)
    report = replace(report, copied=writer.copied)
    if not isinstance(sound, MaskedSound):
        return report
    heard = sound.report()
    return replace(report, voice=heard, needs_review=report.needs_review or heard.needs_review)


def _sound(
    source: Path, probe: VideoProbe, policy: VideoPolicy, model: VoiceModel | None
) -> AbstractContextManager[MaskedSound | str]:
    if policy.sound != "mask":
        return nullcontext(policy.sound)
    if model is None:
        raise PolicyError("voices are masked only where there is a voice model")
    return MaskedSound(source, probe, policy.voice, model) if probe.has_sound else nullcontext("drop")


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
        _stream(reader, policy, detector) as stream,
    ):
        for done, covered in enumerate(stream, start=1):
            faces, tracks, _, _ = _selected(covered, policy.selection)
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


@contextmanager
def _stream(reader: VideoReader, policy: VideoPolicy, detector: Detector) -> Iterator[Iterator[Covered[VideoFrame]]]:
    """Read and follow in threads of their own; a frame is done with when the next is asked for."""
    settings = FollowerSettings(threshold=policy.threshold)
    follower = Follower[VideoFrame](looking(detector, policy.search), settings)
    size = settings.look_ahead + waiting(reader.probe.width * reader.probe.height)
    room = Room(size)
    with ahead(_seen(room.entering(reader)), size) as read, ahead(_followed(read, follower), size) as stream, room:
        yield room.left(stream)


def waiting(pixels: int) -> int:
    """Say how many frames of so many pixels may wait for a stage."""
    return min(MOST_WAITING, max(LEAST_WAITING, WAITING_PIXELS // pixels))


def _seen(frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, Seen]]:
    """See each frame where it is read: the thread that follows has most to do."""
    return ((frame, Seen.of(frame)) for frame in frames)


def _followed(
    frames: Iterable[tuple[VideoFrame, Seen]], follower: Follower[VideoFrame]
) -> Iterator[Covered[VideoFrame]]:
    for frame, seen in frames:
        yield from follower.enter(frame, seen)
        yield from follower.decide()
    yield from follower.finish()


def _paint(
    covered: Covered[VideoFrame], policy: VideoPolicy, masker: Masker, timeline: Timeline, tones: ToneKeeper | None
) -> bool:
    """Mask one frame in place; every style reads its patches before any of them is painted over.

    Returns:
        Whether there was nothing to mask, and nothing in doubt.
    """
    frame = covered.frame
    faces, tracks, how, opened = _selected(covered, policy.selection)
    timeline.add(frame.index, frame.seconds, tracks, [float(score) for score in faces.scores], how)
    if covered.doubt:
        timeline.doubt(frame.index, covered.doubt)
        frame.blacken()
        return False
    timeline.opened = timeline.opened or opened
    if policy.style == "solid":
        area = silhouette(faces, frame.width, frame.height)
        if area is not None:
            frame.fill(*area)
        return not len(faces)
    places = list(regions(faces, frame.width, frame.height, draws(policy.key, tracks)))
    before = frame.unpainted()

    def paint(region: Region) -> NDArray[np.uint8]:
        patch = before.patch(region.rows, region.columns)
        face = region.face if tones is None else tones.told(region.face, patch)
        return np.asarray(masker(patch, face, has_alpha=False), np.uint8)

    for region, painted, where in strokes(places, paint, policy.style in FIGURATIVE):
        frame.put(region.rows, region.columns, np.asarray(painted, np.uint8), where)
    return not len(faces)


def _selected(
    covered: Covered[VideoFrame], selection: Selection
) -> tuple[Faces, tuple[int, ...], tuple[str, ...], bool]:
    """Apply what a person listed, and find out which track each face that is left belongs to, and if any stays open."""
    frame = covered.frame
    if not selection.rows:
        return covered.faces, covered.tracks, covered.how, False
    faces, opened = selection.part(covered.faces, frame.width, frame.height, frame.index)
    overlap = iou_matrix(faces.boxes, covered.faces.boxes)
    tracks, how = [], []
    for index in range(len(faces)):
        same = int(overlap[index].argmax()) if overlap.shape[1] else -1
        found = same >= 0 and overlap[index, same] >= SAME_FACE
        tracks.append(covered.tracks[same] if found else LISTED_TRACK + index)
        how.append(covered.how[same] if found else "listed")
    return faces, tuple(tracks), tuple(how), len(opened) > 0


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
        notes=(*map(str, notes), *policy.selection.notes(opened=timeline.opened)),
        input_sha256=sha256_of(source),
        output_sha256=sha256_of(target),
        frames=timeline.frames,
        seconds=round(timeline.seconds, 3),
        tracks=tracks,
        doubts=timeline.doubts,
        damage=damage or "",
        needs_review=bool(timeline.doubts or damage),
    )
