"""One face through time, and which detection is which face."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from masking.evaluation.detection import iou_matrix
from masking.types import Faces

Box = NDArray[np.float32]

NEAR = 0.6
SIZE_RATIO = 2.2
SHRINKS = 0.85


@dataclass(slots=True, eq=False)
class Track:
    """A face as far as it has been followed.

    Attributes:
        number: Stays the same over the stream.
        box: (4,) float32, where it is in the newest frame.
        landmarks: (5, 2) float32, likewise.
        score: The detector's at the last sighting.
        seen: Frame of the last sighting.
        seconds: Time of the last sighting.
        born: The face as it was seen first: frame, box, landmarks and score.
        sure: Whether it is a face by the detector's word; what is not is followed, and not covered.
        sightings: How often it was seen.
        steady: Running mean of its scores.
        misses: Looks on end that ought to have found it and did not.
        trust: How far the flow since the last sighting can be trusted, 0 to 1.
        shrinking: Whether it gets smaller from sighting to sighting.
        scene: Thumbnail of the frame of the last sighting.
    """

    number: int
    box: Box
    landmarks: NDArray[np.float32]
    score: float
    seen: int
    seconds: float
    born: tuple[int, Box, NDArray[np.float32], float] = field(init=False)
    sure: bool = False
    sightings: int = 1
    steady: float = 0.0
    misses: int = 0
    trust: float = 1.0
    shrinking: bool = False
    scene: NDArray[np.int16] = field(default_factory=lambda: np.zeros((1, 1), np.int16))

    def __post_init__(self) -> None:
        self.born, self.steady = (self.seen, self.box, self.landmarks, self.score), self.score

    @property
    def side(self) -> float:
        """The shorter side in pixels."""
        return float(min(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    def sight(self, at: int, seconds: float, face: Faces) -> None:
        """Note that the detector saw it: one face."""
        before = self.side
        self.box, self.landmarks, self.score = face.boxes[0], face.landmarks[0], float(face.scores[0])
        self.seen, self.seconds = at, seconds
        self.shrinking = self.side < SHRINKS * before
        self.steady = 0.7 * self.steady + 0.3 * self.score
        self.sightings += 1
        self.misses, self.trust = 0, 1.0

    def shift(self, by: NDArray[np.float32], trust: float) -> None:
        """Move it along with the flow by (4,), the shift of either corner of its box."""
        self.box = self.box + by
        self.landmarks = self.landmarks + by[:2]
        self.trust = min(self.trust, trust)


def match(tracks: Box, faces: Box, *, least_iou: float = 0.1) -> list[tuple[int, int]]:
    """Pair expected boxes (n, 4) with found ones (m, 4): the assignment of least cost (Kuhn 1955).

    A pair must overlap by ``least_iou`` or have centres nearer than `NEAR` of the larger side, and be of like size.
    """
    if not len(tracks) or not len(faces):
        return []
    overlap = iou_matrix(tracks, faces)
    centre_a, centre_b = (tracks[:, :2] + tracks[:, 2:]) / 2, (faces[:, :2] + faces[:, 2:]) / 2
    side_a, side_b = (tracks[:, 2:] - tracks[:, :2]).max(axis=1), (faces[:, 2:] - faces[:, :2]).max(axis=1)
    apart = np.linalg.norm(centre_a[:, None] - centre_b[None], axis=2) / np.maximum(side_a[:, None], side_b[None])
    ratio = np.maximum(side_a[:, None], 1e-3) / np.maximum(side_b[None], 1e-3)
    like = np.maximum(ratio, 1 / ratio) <= SIZE_RATIO
    allowed = like & ((overlap >= least_iou) | (apart <= NEAR))
    cost = np.where(allowed, 1 - overlap + 0.5 * apart, 100.0)
    return [(int(r), int(c)) for r, c in zip(*linear_sum_assignment(cost), strict=True) if allowed[r, c]]
