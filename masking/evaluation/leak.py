"""Leak over time: in how many frames of a tracked face the face is open.

A reference that looks at every frame says where faces are; what it finds is joined into tracks, and a frame that it
misses inside a track counts as well, for the face is still there. The mask that is judged may come from anywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from masking.evaluation.detection import coverage, iou_matrix
from masking.types import Faces

COVERED = 0.9
"""A face-frame is open when less than this share of its box lies under the mask."""
BRIEF = 3
"""A track of fewer frames may be a false alarm of the reference, and is counted apart."""
WORST = 20


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceTrack:
    """One face as the reference saw it.

    Attributes:
        first: Index of its first frame.
        boxes: (n, 4) float32, its box in each of n frames on end, in pixels.
        found: (n,) bool, False where the reference missed it and the box is interpolated.
    """

    first: int
    boxes: NDArray[np.float32]
    found: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OpenFace:
    """A face-frame and the share of its box under the mask."""

    frame: int
    box: tuple[float, float, float, float]
    covered: float


@dataclass(frozen=True, slots=True)
class LeakFigures:
    """What stays open in a video.

    Attributes:
        tracks: Tracks of at least `BRIEF` frames.
        face_frames: Frames of these tracks together.
        open: Face-frames of which less than `COVERED` is under the mask.
        half_open: Face-frames of which less than half is.
        brief_face_frames: Face-frames of the shorter tracks.
        brief_open: Those of them that are open.
        worst: Open face-frames of the tracks of at least `BRIEF` frames, the openest first, `WORST` at most.
    """

    tracks: int
    face_frames: int
    open: int
    half_open: int
    brief_face_frames: int
    brief_open: int
    worst: tuple[OpenFace, ...]

    @property
    def open_share(self) -> float:
        """Share of the face-frames that is open; nan where there is none, so that no target is met by absence."""
        return self.open / self.face_frames if self.face_frames else float("nan")


def reference_tracks(found: Sequence[Faces], *, iou: float = 0.3, gap: int = 10) -> list[ReferenceTrack]:
    """Join the detections of every frame into tracks.

    A detection belongs to the track whose newest box it overlaps by at least ``iou`` (the assignment with the largest
    sum of overlaps); a track may miss up to ``gap`` frames on end, where its box is interpolated.

    Args:
        found: The reference's faces, frame by frame.
        iou: Least intersection over union from one frame to the next, in (0, 1].
        gap: Frames that a track may miss on end.
    """
    alive: list[list[tuple[int, NDArray[np.float32]]]] = []
    done: list[list[tuple[int, NDArray[np.float32]]]] = []
    for index, faces in enumerate(found):
        done += [track for track in alive if index - track[-1][0] > gap + 1]
        alive = [track for track in alive if index - track[-1][0] <= gap + 1]
        free = set(range(len(faces)))
        overlap = iou_matrix(np.array([track[-1][1] for track in alive]).reshape(-1, 4), faces.boxes)
        for row, column in zip(
            *linear_sum_assignment(np.where(overlap >= iou, overlap, 0), maximize=True), strict=True
        ):
            if overlap[row, column] >= iou:
                alive[row].append((index, faces.boxes[column]))
                free.discard(int(column))
        alive += [[(index, faces.boxes[column])] for column in sorted(free)]
    return [_filled(track) for track in sorted(done + alive, key=lambda track: track[0][0])]


def leak(tracks: Sequence[ReferenceTrack], covers: Iterable[NDArray[np.bool_]]) -> LeakFigures:
    """Measure what the masks of a video leave open of the tracks.

    Args:
        tracks: What `reference_tracks` gives.
        covers: (h, w) bool of each frame from the first on, what is masked; read once, so they may be made one by one.

    Raises:
        ValueError: The masks end before a track does.
    """
    shares: list[list[float]] = [[] for _ in tracks]
    for index, cover in enumerate(covers):
        shown = [n for n, track in enumerate(tracks) if 0 <= index - track.first < len(track.boxes)]
        boxes = np.array([tracks[n].boxes[index - tracks[n].first] for n in shown]).reshape(-1, 4)
        for n, share in zip(shown, coverage(boxes, cover), strict=True):
            shares[n].append(float(share))
    if any(len(each) != len(track.boxes) for each, track in zip(shares, tracks, strict=True)):
        raise ValueError("there are fewer masks than frames with faces")
    long = [n for n, track in enumerate(tracks) if len(track.boxes) >= BRIEF]
    lasting = np.array([share for n in long for share in shares[n]])
    brief = np.array([share for n, track in enumerate(tracks) if len(track.boxes) < BRIEF for share in shares[n]])
    opened = [
        OpenFace(tracks[n].first + at, _corners(tracks[n].boxes[at]), share)
        for n in long
        for at, share in enumerate(shares[n])
        if share < COVERED
    ]
    return LeakFigures(
        tracks=len(long),
        face_frames=len(lasting),
        open=int((lasting < COVERED).sum()),
        half_open=int((lasting < 0.5).sum()),
        brief_face_frames=len(brief),
        brief_open=int((brief < COVERED).sum()),
        worst=tuple(sorted(opened, key=lambda face: face.covered)[:WORST]),
    )


def _filled(track: list[tuple[int, NDArray[np.float32]]]) -> ReferenceTrack:
    at = np.array([index for index, _ in track])
    seen = np.array([box for _, box in track], np.float64)
    every = np.arange(at[0], at[-1] + 1)
    boxes = np.stack([np.interp(every, at, side) for side in seen.T], axis=1)
    return ReferenceTrack(int(at[0]), boxes.astype(np.float32), np.isin(every, at))


def _corners(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return x1, y1, x2, y2
