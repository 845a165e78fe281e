"""Shapes that lie open in a video, joined over the frames that are looked at: which of them are faces?

A detector takes a hand or a dark corner for a face now and then, weakly and for a moment; a person who shows is found
surely, or again and again. Each look at a place counts ``(score / SURE) ** POWER``, and from 1 on the place is
confirmed: by one look of score `SURE`, by three of .4, by eight of .3, and never by a few weak ones.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from masking.evaluation.detection import iou_matrix
from masking.evaluation.open_faces import Finding

SURE: Final = 0.5
POWER: Final = 4
SAME_PLACE: Final = 0.3
"""Intersection over union from which what lies open in two looks is one."""
AWAY: Final = 2
"""Looks after which a place that was not seen again is over."""
FOLLOWED: Final = 40
"""Looks in a row that a place may ask for: as many of score .2 confirm it."""


@dataclass(slots=True, eq=False)
class Place:
    """Something that lies open for some frames.

    Attributes:
        looks: What was found there, in the order of the frames.
        unseen: Looks since it was seen.
    """

    looks: list[Finding] = field(default_factory=list)
    unseen: int = 0

    @property
    def confirmed(self) -> bool:
        """Whether the looks suffice to call it a face."""
        return sum(((look.score or 0.0) / SURE) ** POWER for look in self.looks) >= 1

    @property
    def finding(self) -> Finding:
        """The surest look, with how often and how long it was seen."""
        surest = max(self.looks, key=lambda look: look.score or 0.0)
        if len(self.looks) == 1:
            return surest
        first, last = self.looks[0].frame, self.looks[-1].frame
        return replace(surest, text=f"{surest.text}; seen in {len(self.looks)} frames from {first} to {last}")


class Places:
    """Takes what lies open in one looked-at frame after another."""

    def __init__(self) -> None:
        self._over: list[Place] = []
        self._open: list[Place] = []

    def take(self, findings: Iterable[Finding]) -> None:
        """Join what lies open in the next frame that was looked at to what did before."""
        seen: list[Place] = []
        for finding in findings:
            place = self._nearest(finding) or Place()
            place.looks.append(finding)
            if place in self._open:
                self._open.remove(place)
            seen.append(place)
        for place in self._open:
            place.unseen += 1
        for place in seen:
            place.unseen = 0
        self._over += [place for place in self._open if place.unseen >= AWAY]
        self._open = [*seen, *(place for place in self._open if place.unseen < AWAY)]

    @property
    def in_question(self) -> bool:
        """Whether the next frame could tell more of something that was seen a moment ago."""
        return any(not place.confirmed and len(place.looks) < FOLLOWED for place in self._open)

    def confirmed(self) -> Iterator[Finding]:
        """Yield a finding for each place that is sure, in the order of their first frames."""
        return (place.finding for place in self._all() if place.confirmed)

    def unconfirmed(self) -> Iterator[Finding]:
        """Yield one for each that is not."""
        return (place.finding for place in self._all() if not place.confirmed)

    def _all(self) -> list[Place]:
        return sorted((*self._over, *self._open), key=lambda place: place.looks[0].frame or 0)

    def _nearest(self, finding: Finding) -> Place | None:
        """Give the open place that the finding overlaps most; one that this frame was joined to already is gone."""
        if not self._open:
            return None
        boxes = [np.array([each.box], np.float32) for each in (finding, *(place.looks[-1] for place in self._open))]
        overlaps = iou_matrix(boxes[0], np.concatenate(boxes[1:]))[0]
        best = int(overlaps.argmax())
        return self._open[best] if overlaps[best] >= SAME_PLACE else None
