"""A moving picture: a file in, a masked file and a report out, at memory that does not grow with its length.

    probe → read → follow (detect, track, cover) → select → mask → write

Reading, following and writing run side by side, each in a thread of its own with a short queue between them; the frames
go through them in order. The file appears under its name only when all of it is masked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from masking.face.surrogates.tones import ToneKeeper
from masking.face.tiles import detect
from masking.media.file_digest import sha256_of
from masking.media.frame import Frame
from masking.media.video import VideoFrame, VideoLimits, VideoProbe, VideoWriter, open_video, probe_video
from masking.observer import Unobserved, VideoObserver
from masking.policy import VideoPolicy
from masking.report import MaskReport
from masking.selection import SAME_FACE, Selection
from masking.threads import ahead
from masking.timeline import Timeline
from masking.types import Faces
from masking.voice.loading import VoiceModel

DEPTH: Final = 4
"""Frames that may wait between two stages."""
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
    timeline = Timeline()
    tones = ToneKeeper() if policy.tone == "keep" else None
    with (
        open_video(source, probe) as reader,
        _sound(source, probe, policy, voice_model) as sound,
        VideoWriter(target, reader, sound=sound) as writer,
    ):
        with ahead(reader, DEPTH) as read, ahead(_followed(read, policy, detector), DEPTH) as stream:
            for covered in stream:
                _paint(covered, policy, masker, timeline, tones)
                writer.write(covered.frame)
                observer.progress(timeline.frames, probe.frames)
        if timeline.doubts and policy.doubt == "withhold":
            raise Withheld(f"stretches of the video that are in doubt: {len(timeline.doubts)}")
        writer.commit()
    report = _report(source, target, policy, probe, timeline, (*reader.notes, *writer.notes), reader.damage)
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


def _paint(
    covered: Covered[VideoFrame], policy: VideoPolicy, masker: Masker, timeline: Timeline, tones: ToneKeeper | None
) -> None:
    """Mask one frame in place; every style reads its patches before any of them is painted over."""
    frame = covered.frame
    faces, tracks, how = _selected(covered, policy.selection)
    timeline.add(frame.index, frame.seconds, tracks, [float(score) for score in faces.scores], how)
    if covered.doubt:
        timeline.doubt(frame.index, covered.doubt)
        frame.blacken()
        return
    if policy.style == "solid":
        area = silhouette(faces, frame.width, frame.height)
        if area is not None:
            frame.fill(*area)
        return
    places = list(regions(faces, frame.width, frame.height, draws(policy.key, tracks)))
    before = frame.unpainted()

    def paint(region: Region) -> NDArray[np.uint8]:
        patch = before.patch(region.rows, region.columns)
        face = region.face if tones is None else tones.told(region.face, patch)
        return np.asarray(masker(patch, face, has_alpha=False), np.uint8)

    for region, painted, where in strokes(places, paint, policy.style in FIGURATIVE):
        frame.put(region.rows, region.columns, np.asarray(painted, np.uint8), where)


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
