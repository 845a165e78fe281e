"""What happened over a whole video, frame by frame, in memory that grows with the tracks and not with the frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from masking.report import Span, Track

SEEN = "seen"
"""How a face was covered where detections on both sides say where it is; all else is a gap, and told apart."""
SURE = frozenset({"detected", "interpolated"})


@dataclass(slots=True)
class _Open:
    """A track that goes on."""

    first: int
    score: float
    spans: list[Span] = field(default_factory=list)


class Timeline:
    """Takes frames in order and gives the tracks, the frames in doubt, and how many frames there were.

    Attributes:
        frames: How many there were.
        seconds: When the last was presented.
        opened: Whether in any of them a region to keep left open what was found.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.seconds = 0.0
        self.opened = False
        self._tracks: dict[int, _Open] = {}
        self._doubts: list[Span] = []

    def add(
        self, index: int, seconds: float, tracks: Sequence[int], scores: Sequence[float], how: Sequence[str]
    ) -> None:
        """Note which faces a frame has, and how each was covered.

        Args:
            index: Number of the frame, one more than that of the frame before.
            seconds: When it is presented.
            tracks: Track of each face.
            scores: Score of each face in [0, 1].
            how: How each is covered.
        """
        self.frames += 1
        self.seconds = seconds
        for track, score, means in zip(tracks, scores, how, strict=True):
            known = self._tracks.setdefault(track, _Open(index, score))
            known.score = max(known.score, score)
            _prolong(known.spans, index, SEEN if means in SURE else means)

    def doubt(self, index: int, reason: str) -> None:
        """Note that a frame was masked whole, and why."""
        _prolong(self._doubts, index, reason)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Every track, in the order of their first frames."""
        return tuple(
            Track(number, known.spans[0].first, known.spans[-1].last, round(float(known.score), 4), tuple(known.spans))
            for number, known in self._tracks.items()
        )

    @property
    def doubts(self) -> tuple[Span, ...]:
        """The frames that were masked whole."""
        return tuple(self._doubts)


def _prolong(spans: list[Span], index: int, how: str) -> None:
    if spans and spans[-1].how == how and spans[-1].last == index - 1:
        spans[-1] = Span(spans[-1].first, index, how)
    else:
        spans.append(Span(index, index, how))
