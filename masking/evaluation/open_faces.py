"""Faces that lie open in a masked picture, judged against the original."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.detection import iou_matrix
from masking.evaluation.likeness import OPEN, likeness
from masking.types import Faces

SAME: Final = 0.5
"""Intersection over union from which a face of the original and one of the masked picture are one."""

BACKED: Final = 0.3
"""The same for a face of the output and a weak one of the original that backs it."""
BACKING: Final = 0.5
"""Share of the threshold that the original must reach where the output reaches all of it. A mask changes what is around
it, and next to a black oval a detector takes a collar for a face; a person has some score in the original as well."""

Look = Callable[[NDArray[np.uint8], float], Faces]
"""Finds the faces of (h, w, 3) uint8 RGB from a score on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be as it is.

    Attributes:
        code: What kind of thing, for machines.
        text: The same in words; never quotes a file.
        frame: Number of the frame, in a video.
        box: ``x1, y1, x2, y2`` in pixels, where it is a face.
        score: How sure it is that there is a face, in [0, 1]: the detector's score in the original, and not more than
            that in the output where it is found in the output alone.
    """

    code: str
    text: str
    frame: int | None = None
    box: tuple[float, ...] | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen in one picture.

    Attributes:
        faces: How many faces the original has, without those that a person keeps visible.
        over_masks: How many faces the detector sees in the masked picture that are nobody's: artificial ones, and
            shapes of a mask or beside it that it takes for one.
        findings: Open faces.
        covered: (n, 4) float32, the boxes of the original's faces that do not show.
    """

    faces: int
    over_masks: int
    findings: tuple[Finding, ...]
    covered: NDArray[np.float32]


def look(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    look_at: Look,
    threshold: float,
    select: Callable[[Faces], Faces],
    frame: int | None = None,
) -> Looked:
    """Find the faces of both pictures, and tell which of them are as in the original.

    A face that is found in the output only counts where the original backs it (`BACKING`).

    Args:
        before: (h, w, 3) uint8 RGB, the original.
        after: The masked picture, of the same shape.
        look_at: Finds the faces of a picture.
        threshold: Score in (0, 1) from which a face counts.
        select: Leaves out the faces that a person wants visible.
        frame: Number of the frame, in a video.
    """
    weak = look_at(before, threshold * BACKING)
    ours, theirs = select(weak[weak.scores >= threshold]), select(look_at(after, threshold))
    known, left = _likenesses(before, after, ours), _likenesses(before, after, theirs)
    shows = (left >= OPEN) & _overlap(theirs, weak, BACKED)
    new = shows & ~_overlap(theirs, ours[known >= OPEN], SAME)
    backed = np.minimum(theirs.scores, _best_score(theirs, weak))
    findings = [
        *_findings(ours, ours.scores, known, "the original", frame),
        *_findings(theirs[new], backed[new], left[new], "the output", frame),
    ]
    return Looked(len(ours), int((~shows).sum()), tuple(findings), ours.boxes[known < OPEN])


def _likenesses(before: NDArray[np.uint8], after: NDArray[np.uint8], faces: Faces) -> NDArray[np.float64]:
    return np.array([likeness(before, after, box) for box in faces.boxes], np.float64)


def _overlap(faces: Faces, others: Faces, least: float) -> NDArray[np.bool_]:
    if not len(others):
        return np.zeros(len(faces), bool)
    return np.asarray((iou_matrix(faces.boxes, others.boxes) >= least).any(axis=1))


def _best_score(faces: Faces, others: Faces) -> NDArray[np.float32]:
    """Give for each face the highest score among the others that are the same, 0 where none is."""
    if not len(others):
        return np.zeros(len(faces), np.float32)
    same = iou_matrix(faces.boxes, others.boxes) >= BACKED
    return np.asarray((same * others.scores).max(axis=1), np.float32)


def _findings(
    faces: Faces, scores: NDArray[np.float32], likenesses: NDArray[np.float64], where: str, frame: int | None
) -> Iterator[Finding]:
    for box, found, score, like in zip(faces.boxes, faces.scores, scores, likenesses, strict=True):
        if like >= OPEN:
            corners = tuple(round(float(side), 1) for side in box)
            text = f"a face that is found in {where} (score {found:.2f}) lies open: likeness {like:.2f}"
            yield Finding("open_face", text, frame, corners, round(float(score), 4))
