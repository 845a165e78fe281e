"""A person's word on what is masked: regions to mask in addition and regions to keep, as a list to export and edit."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from masking.errors import PolicyError
from masking.selection_text import MOST_ROWS, Row, parse_csv, parse_json, write_csv, write_json
from masking.types import Faces

SAME_FACE: Final = 0.5
"""Intersection over union from which a detection and a listed box are one face."""
FACES_KEPT: Final = "faces_kept"
ONLY_LISTED: Final = "only_listed"

LEAST_SIDE_PX: Final = 0.1
_FARTHEST_PX: Final = 100_000
_LAST_FRAME: Final = 2**31

# Right eye, left eye, nose and corners of the mouth of an upright frontal face, as shares of a detector's box.
_UPRIGHT: Final = np.array([[0.3, 0.38], [0.7, 0.38], [0.5, 0.57], [0.35, 0.76], [0.65, 0.76]])


@dataclass(frozen=True, slots=True)
class Listed:
    """One region of a list.

    Attributes:
        action: ``mask`` it, or ``keep`` the detections in it visible.
        x1: Left edge in pixels of the upright picture; a box is drawn as a detector does, about eyes and mouth, and the
            mask is larger.
        y1: Upper edge.
        x2: Right edge, at least `LEAST_SIDE_PX` from the left one.
        y2: Lower edge, likewise.
        first: First frame that it is for, from 0; None is the first of all.
        last: Last frame that it is for; None is the last of all.
        score: The detector's, in [0, 1].
        source: Who drew it.
        track: The number of the face in a video, from 0.

    Raises:
        PolicyError: A value is not as said here.
    """

    action: Literal["mask", "keep"]
    x1: float
    y1: float
    x2: float
    y2: float
    first: int | None = None
    last: int | None = None
    score: float | None = None
    source: Literal["detector", "person"] = "person"
    track: int | None = None

    def __post_init__(self) -> None:
        if self.action not in ("mask", "keep"):
            raise PolicyError("action must be mask or keep")
        if self.source not in ("detector", "person"):
            raise PolicyError("source must be detector or person")
        for name in ("x1", "y1", "x2", "y2"):
            _check_number(getattr(self, name), name, -_FARTHEST_PX, _FARTHEST_PX)
        if self.x2 - self.x1 < LEAST_SIDE_PX or self.y2 - self.y1 < LEAST_SIDE_PX:
            raise PolicyError(f"x2 and y2 must exceed x1 and y1 by {LEAST_SIDE_PX} pixels at least")
        if self.score is not None:
            _check_number(self.score, "score", 0, 1)
        for name in ("first", "last", "track"):
            _check_count(getattr(self, name), name)
        if self.first is not None and self.last is not None and self.first > self.last:
            raise PolicyError("first must not exceed last")

    def holds(self, frame: int) -> bool:
        """Tell whether it is for this frame."""
        return (self.first is None or self.first <= frame) and (self.last is None or frame <= self.last)


@dataclass(frozen=True, slots=True)
class Selection:
    """A list of regions.

    Attributes:
        rows: The regions, 10,000 at most.
        only: The regions to mask are all that is masked, and no detection counts. Dangerous: a face that nobody listed
            stays open, and so does one that moves out of its region.

    Raises:
        PolicyError: There are too many rows, or ``only`` is set and none is to be masked: all would stay open.
    """

    rows: tuple[Listed, ...] = ()
    only: bool = False

    def __post_init__(self) -> None:
        if len(self.rows) > MOST_ROWS:
            raise PolicyError(f"a region list has {MOST_ROWS} rows at most")
        if self.only and not any(row.action == "mask" for row in self.rows):
            raise PolicyError("only is set, but no row is to be masked: list one with action mask, or leave only out")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a list as `to_json` writes it; what may be None may be left out.

        Raises:
            PolicyError: It is no such list; the message names the row, from 1, and what to do.
        """
        rows, only = parse_json(text)
        return cls(_listed(rows), only)

    @classmethod
    def from_csv(cls, text: str, *, only: bool = False) -> Self:
        """Read a list as `to_csv` writes it: the columns in any order, and an empty field for None.

        Raises:
            PolicyError: It is no such list; the message names the row, from 1 below the names, and what to do.
        """
        return cls(_listed(parse_csv(text)), only)

    def to_json(self) -> str:
        """Write the list as JSON."""
        return write_json([asdict(row) for row in self.rows], only=self.only)

    def to_csv(self) -> str:
        """Write the rows as CSV, which has no place for ``only``."""
        return write_csv(asdict(row) for row in self.rows)

    def apply(self, faces: Faces, width: int, height: int, frame: int | None = None) -> Faces:
        """Say what is masked, given what the detector found; as `part` does, where nobody asks what stays open."""
        return self.part(faces, width, height, frame)[0]

    def part(self, faces: Faces, width: int, height: int, frame: int | None = None) -> tuple[Faces, Faces]:
        """Part what is masked from what a region to keep leaves open, given what the detector found.

        A region to mask is masked whatever the detector says, also where it was exported from a detection. Where a
        detection is the same face (`SAME_FACE`), the two become one: the box that holds both, with the landmarks and
        the score of the detection, whose doubt still counts. A region alone has the landmarks of an upright frontal
        face, and the score 1, or its own if it came from the detector.

        A region to keep takes away the other detections whose centre lies in it together with at least half of their
        box. It never takes away a region to mask.

        Args:
            faces: What the detector found.
            width: Columns of the upright picture.
            height: Rows of the upright picture.
            frame: Number of the frame of a video; None for a picture.

        Returns:
            What is masked, surest first, and the detections that are left open.

        Raises:
            PolicyError: A region to mask lies outside the picture, or frames are named though it is a picture: the list
                is of something else.
        """
        mask, keep = self._rows_for(width, height, frame)
        if self.only:
            faces = Faces.none()
        listed = _as_faces(mask)
        overlap = _iou(faces.boxes, listed.boxes)
        same = overlap.max(axis=1, initial=0) >= SAME_FACE
        joined = _join(listed, faces[same], overlap[same])
        others = faces[~same]
        kept = _kept(others.boxes, _boxes(keep))
        return _surest_first(joined, others[~kept]), others[kept]

    def notes(self, *, opened: bool) -> tuple[str, ...]:
        """Give what a report notes of this list.

        Args:
            opened: A region to keep left open what was found.
        """
        return (*[FACES_KEPT] * opened, *[ONLY_LISTED] * self.only)

    def _rows_for(self, width: int, height: int, frame: int | None) -> tuple[list[Listed], list[Listed]]:
        mask, keep = [], []
        for number, row in enumerate(self.rows, 1):
            if frame is None and (row.first or row.last):
                raise PolicyError(f"row {number} names frames, but this is a picture: leave first and last empty")
            if not row.holds(frame or 0):
                continue
            if row.action == "keep":
                keep.append(row)
            elif row.x2 > 0 and row.y2 > 0 and row.x1 < width and row.y1 < height:
                mask.append(row)
            else:
                raise PolicyError(
                    f"row {number} lies outside the picture of {width} x {height} pixels: correct its box"
                )
        return mask, keep


def of_faces(faces: Faces, frame: int | None = None, tracks: Iterable[int] | None = None) -> Selection:
    """List what a detector found, for a person to correct: every face is to be masked.

    Args:
        faces: What was found; boxes are listed to a hundredth of a pixel.
        frame: Number of the frame that they are in; None for a picture.
        tracks: The number of each face in a video.

    Raises:
        PolicyError: There are more faces than a list may have rows.
    """
    numbers: list[int | None] = [None] * len(faces) if tracks is None else list(tracks)
    found = zip(faces.boxes.tolist(), faces.scores.tolist(), numbers, strict=True)
    return Selection(tuple(_from_detector(box, score, frame, track) for box, score, track in found))


def _from_detector(box: list[float], score: float, frame: int | None, track: int | None) -> Listed:
    x1, y1, x2, y2 = (round(side, 2) for side in box)
    return Listed("mask", x1, y1, x2, y2, frame, frame, round(score, 4), "detector", track)


def _listed(rows: list[Row]) -> tuple[Listed, ...]:
    if len(rows) > MOST_ROWS:
        raise PolicyError(f"a region list has {MOST_ROWS} rows at most")
    found = []
    for number, row in enumerate(rows, 1):
        values = {name: value for name, value in row.items() if name != "source" or value is not None}
        try:
            found.append(Listed(**values))
        except PolicyError as error:
            raise PolicyError(f"row {number}: {error}") from error
    return tuple(found)


def _check_number(value: object, name: str, low: float, high: float) -> None:
    # A comparison with NaN is false, and a whole number may be too large for a float.
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise PolicyError(f"{name} must be a number from {low} to {high}")


def _check_count(value: object, name: str) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LAST_FRAME):
        raise PolicyError(f"{name} must be a whole number from 0, or be left out")


def _boxes(rows: list[Listed]) -> NDArray[np.float32]:
    return np.array([(row.x1, row.y1, row.x2, row.y2) for row in rows], np.float32).reshape(-1, 4)


def _as_faces(rows: list[Listed]) -> Faces:
    boxes = _boxes(rows)
    scores = [row.score if row.source == "detector" and row.score is not None else 1.0 for row in rows]
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    landmarks = (boxes[:, None, :2] + sides * _UPRIGHT).astype(np.float32)
    return Faces(boxes, np.array(scores, np.float32), landmarks)


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) float32: the area that each box of the one shares with each of the other."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    areas: NDArray[np.float32] = np.clip(high - low, 0, None).prod(axis=2)
    return areas


def _area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return areas


def _iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    shared = _shared(one, other)
    ratios: NDArray[np.float32] = shared / (_area(one)[:, None] + _area(other)[None, :] - shared)
    return ratios


def _join(listed: Faces, found: Faces, overlap: NDArray[np.float32]) -> Faces:
    """Lay each detection over the listed box that it overlaps most; of several, the one that overlaps most tells."""
    boxes, scores, landmarks = listed.boxes.copy(), listed.scores.copy(), listed.landmarks.copy()
    for index in np.argsort(overlap.max(axis=1, initial=0), kind="stable"):
        at = int(overlap[index].argmax())
        boxes[at, :2] = np.minimum(boxes[at, :2], found.boxes[index, :2])
        boxes[at, 2:] = np.maximum(boxes[at, 2:], found.boxes[index, 2:])
        scores[at], landmarks[at] = found.scores[index], found.landmarks[index]
    return Faces(boxes, scores, landmarks)


def _kept(boxes: NDArray[np.float32], keep: NDArray[np.float32]) -> NDArray[np.bool_]:
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    within = ((centres >= keep[None, :, :2]) & (centres <= keep[None, :, 2:])).all(axis=2)
    covered = _shared(boxes, keep) >= _area(boxes)[:, None] / 2
    return np.asarray((within & covered).any(axis=1))


def _surest_first(one: Faces, other: Faces) -> Faces:
    both = Faces(
        np.concatenate((one.boxes, other.boxes)),
        np.concatenate((one.scores, other.scores)),
        np.concatenate((one.landmarks, other.landmarks)),
    )
    return both[np.argsort(-both.scores, kind="stable")]
