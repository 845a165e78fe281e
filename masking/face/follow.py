"""Faces through time: detect now and then, follow in between, and leave no frame of a followed face open.

A look is a run of the detector. Boxes are carried from look to look by optical flow; what a look says corrects the
frames before it, as far as they are still held. A face that a look finds first is taken back in time, one that a look
misses is held. Looks come more often where things move, and on both sides of a scene cut.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.detection import iou_matrix
from masking.face.coverage import LEAST_INSIDE, How, Spot, between, grown, inside
from masking.face.cuts import STILL, Change, change
from masking.face.doubt import DIM, WORSE, Eyes
from masking.face.flow import carry
from masking.face.pace import LOST, first_scales, hold_seconds, last_scales, lost_without_reason, scales, stride
from masking.face.pace import FollowerSettings as FollowerSettings
from masking.face.seen import Seen
from masking.face.tiles import merge
from masking.face.track import Track, match
from masking.media.frame import Frame
from masking.types import Faces

SAME_IOU = 0.4
_WHOLE = -1

F = TypeVar("F", bound=Frame)
Detect = Callable[[F, float, float], Faces]


@dataclass(frozen=True, slots=True, eq=False)
class Covered(Generic[F]):
    """A frame and what to cover in it.

    Attributes:
        frame: The frame that was fed.
        faces: What to cover, surest first; boxes grown by the doubt about them.
        tracks: Number of the track of each face, the same all over the stream.
        how: How each face was come by, see `Spot`.
        doubt: Why a face may be open in this frame, or None.
    """

    frame: F
    faces: Faces
    tracks: tuple[int, ...]
    how: tuple[How, ...]
    doubt: str | None


@dataclass(slots=True, eq=False)
class _Entry(Generic[F]):
    """A frame that is held: where the flow puts each track in it, what is covered, what is doubted."""

    number: int
    frame: F
    seen: Seen
    change: Change
    scales: set[float] = field(default_factory=set)
    followed: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    spots: dict[int, Spot] = field(default_factory=dict)
    doubts: dict[int, str] = field(default_factory=dict)


class Follower(Generic[F]):
    """Says of every frame what to cover; frames come back in order, each once.

    Args:
        detect: Gives the faces of a frame in full-size pixels: of the frame seen at a scale, from a score on.
        settings: How closely to look.
    """

    def __init__(self, detect: Detect[F], settings: FollowerSettings | None = None) -> None:
        self._detect = detect
        self._settings = settings or FollowerSettings()
        self._held: deque[_Entry[F]] = deque()
        self._newest: _Entry[F] | None = None
        self._tracks: list[Track] = []
        self._sure: set[int] = set()
        self._begun = 0
        self._usual = 0.0
        self._looked = 0
        self._looks = 0
        self._eyes = Eyes(self._settings)

    def feed(self, frame: F, seen: Seen | None = None) -> list[Covered[F]]:
        """Take the next frame; gives the frames that are decided by it, at most `look_ahead` stay held.

        Args:
            frame: Comes after all that were fed.
            seen: The same frame as it is `Seen`, if that was done already.

        Raises:
            MaskingError: Whatever `detect` raises.
        """
        return [*self.enter(frame, seen or Seen.of(frame)), *self.decide()]

    def enter(self, frame: F, seen: Seen) -> list[Covered[F]]:
        """Take the next frame as `feed` does, but look at it only in `decide`, which is to be called next.

        What is given already, all before a cut, can be worked on while the new scene is looked at.

        Raises:
            MaskingError: Whatever `detect` raises.
        """
        before, entry = self._newest, self._entry(frame, seen)
        done: list[Covered[F]] = []
        if before is not None and not entry.change.cut:
            self._carry(before, entry)
        elif before is not None:
            self._look(before, last_scales(self._settings, max(frame.width, frame.height)))
            self._tracks = []
            if not self._eyes.dimmed:  # a dim stretch is doubted as a whole, cuts or none
                done = self._release(0)
        self._held.append(entry)
        self._newest = entry
        return done

    def decide(self) -> list[Covered[F]]:
        """Look at the frame that entered last, where it is time to; gives the frames that are decided by it.

        Raises:
            MaskingError: Whatever `detect` raises.
        """
        entry = self._held[-1]
        longest = max(entry.frame.width, entry.frame.height)
        wait = stride(self._settings, entry.change, self._tracks)
        if entry.number == 0 or entry.change.cut:
            self._look(entry, first_scales(self._settings, longest))
        elif entry.change.jolt or entry.number - self._looked >= wait:
            self._look(entry, scales(self._settings, self._looks, self._tracks, longest))
        for track in self._tracks:
            if lost_without_reason(self._settings, track, entry.frame):
                entry.doubts[track.number] = LOST
        self._doubt(entry)
        self._forget(entry)
        return self._release(self._settings.look_ahead)

    def finish(self) -> list[Covered[F]]:
        """End the stream; gives the frames still held.

        Raises:
            MaskingError: Whatever `detect` raises.
        """
        if self._held:
            last = self._held[-1]
            self._look(last, last_scales(self._settings, max(last.frame.width, last.frame.height)))
        return self._release(0)

    def _entry(self, frame: F, seen: Seen) -> _Entry[F]:
        before = self._newest
        if before is None:
            return _Entry(0, frame, seen, STILL)
        moved = change(before.seen.thumb, seen.thumb, self._usual)
        if not moved.cut:
            self._usual = 0.8 * self._usual + 0.2 * moved.change
        return _Entry(before.number + 1, frame, seen, moved)

    def _doubt(self, entry: _Entry[F]) -> None:
        """Doubt whole frames in which too little can be made out."""
        since = self._eyes.blind_since(entry.number, entry.frame.seconds, entry.seen.sight, entry.change.cut)
        for held in self._between(entry.number if since is None else since - 1, entry.number + 1):
            held.doubts[_WHOLE] = DIM
        if self._eyes.lost_sight(entry.frame, entry.seen.sight, entry.seen.thumb, self._tracks):
            entry.doubts[_WHOLE] = WORSE

    def _carry(self, before: _Entry[F], after: _Entry[F]) -> None:
        """Move every track by the flow, and cover it where it comes to lie."""
        if not self._tracks:
            return
        shifts, trusts = carry(before.seen.view, after.seen.view, np.stack([track.box for track in self._tracks]))
        for track, shift, trust in zip(self._tracks, np.tile(shifts, 2), trusts.tolist(), strict=True):
            track.shift(shift, trust)
            after.followed[track.number] = track.box
            if after.frame.seconds - track.seconds <= hold_seconds(self._settings, track):
                self._hold_on(after, track)

    def _hold_on(self, entry: _Entry[F], track: Track) -> None:
        box = grown(track.box, entry.number - track.seen, track.trust)
        how: How = "held" if track.misses else "tracked"
        entry.spots[track.number] = Spot(box, track.landmarks, track.score, how)

    def _look(self, entry: _Entry[F], scales: Sequence[float]) -> None:
        """Run the detector on the newest frame held, at the scales at which it was not seen yet; take its word."""
        new = [scale for scale in scales if scale not in entry.scales]
        if not new or not self._held or entry is not self._held[-1]:
            return
        least = self._settings.low * self._settings.threshold
        faces = merge([self._detect(entry.frame, scale, least) for scale in new])
        entry.scales.update(new)
        closest = max(new)
        self._looked = entry.number
        self._looks += 1
        expected = np.array([track.box for track in self._tracks], np.float32).reshape(-1, 4)
        pairs = dict(match(expected, faces.boxes))
        for row, track in enumerate(self._tracks):
            if row in pairs:
                self._sight(entry, track, faces[pairs[row] : pairs[row] + 1])
            elif track.seen < entry.number and self._shown(track, closest):
                track.misses += 1
                if track.number in entry.spots:
                    self._hold_on(entry, track)
        for column in sorted(set(range(len(faces))) - set(pairs.values())):
            self._begin(entry, faces[column : column + 1])
        self._assure(entry)

    def _shown(self, track: Track, scale: float) -> bool:
        """Whether a look at a scale ought to find a face."""
        return scale == 1.0 or track.side * scale >= self._settings.least_px

    def _sight(self, entry: _Entry[F], track: Track, face: Faces) -> None:
        """Correct the frames since the last sighting by this one."""
        end, since, trust, score = track.box, track.seen, track.trust, max(track.score, float(face.scores[0]))
        for gap in self._between(since, entry.number):
            if track.number in gap.followed:
                followed = gap.followed[track.number]
                hull = between(followed, end, face.boxes[0], (gap.number - since) / (entry.number - since))
                far = min(gap.number - since, entry.number - gap.number)
                moved = (followed - end).reshape(2, 2).sum(axis=0) * np.float32(0.5)
                landmarks = np.asarray(track.landmarks + moved, np.float32)
                gap.spots[track.number] = Spot(grown(hull, far, trust), landmarks, score, "interpolated")
                gap.doubts.pop(track.number, None)
        track.sight(entry.number, entry.frame.seconds, face)
        track.scene = entry.seen.thumb.picture
        entry.doubts.pop(track.number, None)
        self._show(entry, track)

    def _begin(self, entry: _Entry[F], face: Faces) -> None:
        score = float(face.scores[0])
        track = Track(self._begun, face.boxes[0], face.landmarks[0], score, entry.number, entry.frame.seconds)
        track.scene = entry.seen.thumb.picture
        self._begun += 1
        self._tracks.append(track)
        self._show(entry, track)

    def _show(self, entry: _Entry[F], track: Track) -> None:
        entry.followed[track.number] = track.box
        entry.spots[track.number] = Spot(track.box, track.landmarks, track.score, "detected")

    def _assure(self, entry: _Entry[F]) -> None:
        """Tell faces from what only may be one, and take those that are new back in time."""
        settings = self._settings
        new = []
        for track in self._tracks:
            share = settings.once if track.sightings == 1 else settings.twice
            if not track.sure and track.seen == entry.number and track.score >= share * settings.threshold:
                track.sure = True
                self._sure.add(track.number)
                new.append(track)
        for number in {track.born[0] for track in new}:
            self._extend(number, [track for track in new if track.born[0] == number])

    def _extend(self, number: int, tracks: list[Track]) -> None:
        """Take faces back from the frame in which they were seen first."""
        held = self._between(number - self._settings.extend - 1, number + 1)
        if not held or held[-1].number != number:
            return
        boxes = np.stack([track.born[1] for track in tracks])
        marks = np.stack([track.born[2] for track in tracks])
        trust = np.ones(len(tracks), np.float32)
        for after, gap in pairwise(reversed(held)):
            if after.change.cut:
                return
            shifts, trusts = carry(after.seen.view, gap.seen.view, boxes)
            boxes, marks, trust = boxes + np.tile(shifts, 2), marks + shifts[:, None], np.minimum(trust, trusts)
            for index, track in enumerate(tracks):
                box = grown(boxes[index], number - gap.number, float(trust[index]))
                gap.spots[track.number] = Spot(box, marks[index], track.born[3], "extended")

    def _between(self, first: int, last: int) -> list[_Entry[F]]:
        """Give the held entries after ``first`` and before ``last``."""
        return [entry for entry in self._held if first < entry.number < last]

    def _forget(self, entry: _Entry[F]) -> None:
        """Drop tracks that left the picture, were lost for long enough, or lie where another face is seen now."""
        frame = entry.frame
        there = [track for track in self._tracks if inside(track.box, frame.width, frame.height) >= LEAST_INSIDE]
        missed = [track for track in there if track.misses]
        sighted = [track.box for track in self._tracks if not track.misses]
        gone = {track.number for track in missed if frame.seconds - track.seconds > self._patience(track)}
        if missed and sighted:
            shared = iou_matrix(np.array([track.box for track in missed]), np.array(sighted)).max(axis=1)
            gone |= {track.number for track, share in zip(missed, shared, strict=True) if share >= SAME_IOU}
        self._tracks = [track for track in there if track.number not in gone]

    def _patience(self, track: Track) -> float:
        """Seconds that a face is followed on after its last sighting, once a look missed it."""
        return self._settings.hold_seconds if track.sure else 0.0

    def _release(self, keep: int) -> list[Covered[F]]:
        done = [self._covered(self._held.popleft()) for _ in range(len(self._held) - keep)]
        self._sure &= {track.number for track in self._tracks}.union(*(entry.spots for entry in self._held))
        return done

    def _covered(self, entry: _Entry[F]) -> Covered[F]:
        width, height = entry.frame.width, entry.frame.height
        chosen = sorted(
            (
                (number, spot)
                for number, spot in entry.spots.items()
                if number in self._sure and inside(spot.box, width, height) >= LEAST_INSIDE
            ),
            key=lambda item: -item[1].score,
        )
        faces = Faces(
            np.array([spot.box for _, spot in chosen], np.float32).reshape(-1, 4),
            np.array([spot.score for _, spot in chosen], np.float32),
            np.array([spot.landmarks for _, spot in chosen], np.float32).reshape(-1, 5, 2),
        )
        numbers, hows = tuple(number for number, _ in chosen), tuple(spot.how for _, spot in chosen)
        return Covered(entry.frame, faces, numbers, hows, next(iter(entry.doubts.values()), None))
