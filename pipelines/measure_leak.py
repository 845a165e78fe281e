"""Leak over time: procedural people walk through clips, and every frame in which a face of them is open counts."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.leak import LeakFigures, ReferenceTrack, leak
from masking.face.detectors import Detector
from masking.face.follow import Follower, FollowerSettings
from masking.face.procedural import Identity
from masking.face.procedural.clip import Moment, clip
from masking.face.region import regions
from masking.face.search import search
from masking.media.array_frame import ArrayFrame
from masking.types import Faces
from pipelines.measure_detection import QUICK
from pipelines.params import Evaluate

FRAMES_A_SECOND = 25
PEOPLE = 12
_FILM = 4711


def measure_leak(detector: Detector, params: Evaluate) -> dict[str, float]:
    """Follow the faces of ``params.clips`` procedural clips as video masking does, and count what stays open.

    The places of the faces are known by construction, so the reference misses nothing.
    """
    measured = [_measured(detector, params, number) for number in range(params.clips)]
    face_frames, opened = sum(each.face_frames for each, _ in measured), sum(each.open for each, _ in measured)
    frames = 2 * params.clip_frames * params.clips
    return {
        "frames": float(frames),
        "tracks": float(sum(each.tracks for each, _ in measured)),
        "face_frames": float(face_frames),
        "open": float(opened),
        "half_open": float(sum(each.half_open for each, _ in measured)),
        "open_share": opened / face_frames if face_frames else float("nan"),
        "looks_per_frame": sum(looks for _, looks in measured) / frames,
    }


def _measured(detector: Detector, params: Evaluate, number: int) -> tuple[LeakFigures, int]:
    rng = np.random.default_rng([params.seed, _FILM, number])
    people = [Identity.draw(rng) for _ in range(PEOPLE)]
    moments = list(clip(rng, people, frames=params.clip_frames))
    looks: list[float] = []
    follower = Follower[ArrayFrame](_looking(detector, looks), FollowerSettings(threshold=params.threshold))
    return leak(reference(moments), _covers(moments, follower)), len(looks)


def reference(moments: Sequence[Moment]) -> list[ReferenceTrack]:
    """Give a track for each run of frames in which a face is seen."""
    runs: dict[int, list[tuple[int, list[NDArray[np.float32]]]]] = {}
    for index, moment in enumerate(moments):
        for owner, box in zip(moment.owners.tolist(), moment.boxes, strict=True):
            of_owner = runs.setdefault(owner, [])
            if of_owner and of_owner[-1][0] + len(of_owner[-1][1]) == index:
                of_owner[-1][1].append(box)
            else:
                of_owner.append((index, [box]))
    return [
        ReferenceTrack(first, np.array(boxes, np.float32), np.ones(len(boxes), bool))
        for of_owner in runs.values()
        for first, boxes in of_owner
    ]


def _covers(moments: Sequence[Moment], follower: Follower[ArrayFrame]) -> Iterator[NDArray[np.bool_]]:
    frames = (ArrayFrame(index, index / FRAMES_A_SECOND, moment.pixels) for index, moment in enumerate(moments))
    for frame in frames:
        for covered in follower.feed(frame):
            yield _mask(covered.faces, covered.frame, covered.doubt)
    for covered in follower.finish():
        yield _mask(covered.faces, covered.frame, covered.doubt)


def _mask(faces: Faces, frame: ArrayFrame, doubt: str | None) -> NDArray[np.bool_]:
    """What is covered: all of a frame that is in doubt, as by default."""
    mask = np.full((frame.height, frame.width), doubt is not None)
    for region in regions(faces, frame.width, frame.height):
        mask[region.rows, region.columns] |= region.inside
    return mask


def _looking(detector: Detector, looks: list[float]) -> Callable[[ArrayFrame, float, float], Faces]:
    """Return what looks at a frame at a scale, from a score on; it notes every look."""

    def look(frame: ArrayFrame, scale: float, threshold: float) -> Faces:
        looks.append(scale)
        pixels = frame.rgb(scale)
        found = search(pixels, detector, threshold, QUICK)
        by = np.array([frame.width / pixels.shape[1], frame.height / pixels.shape[0]], np.float32)
        return Faces(found.boxes * np.tile(by, 2), found.scores, found.landmarks * by)

    return look
