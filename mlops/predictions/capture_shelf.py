"""Captures opened again, for whoever may: the newest, or the one of a prediction."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops.predictions.capture_file import (
    MASKED,
    RAW,
    Capture,
    Unreadable,
    files,
    is_over,
    made_at,
    read_captures,
)
from mlops.predictions.row import made_at as named_at
from mlops.redis import Seal

EARLY_SECONDS: Final = 5.0
"""How much earlier than a prediction its file may say that it was made: clocks differ."""
LATE_SECONDS: Final = 900.0
"""How long after a prediction its capture is written at the latest; what waits longer was dropped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which captures are asked for; what is None is not asked about.

    Attributes:
        endpoint: What was asked.
        version: Version that answered.
        variant: Name of the variant.
        since: Earliest time of the prediction, in seconds since the epoch.
        until: Time before which it was.
        most: So many at most.
    """

    endpoint: str | None = None
    version: str | None = None
    variant: str | None = None
    since: float | None = None
    until: float | None = None
    most: int = 100

    def holds(self, capture: Capture) -> bool:
        """Say whether a capture is one of them."""
        named = ((self.endpoint, capture.endpoint), (self.version, capture.version), (self.variant, capture.variant))
        if any(wish is not None and wish != there for wish, there in named):
            return False
        return (self.since is None or capture.time >= self.since) and (self.until is None or capture.time < self.until)


@dataclass(frozen=True, slots=True)
class CaptureShelf:
    """The captures of a folder.

    Attributes:
        folder: Where they are.
        seals: Gives what they are sealed with, by the ending of their files; raises OSError.
        clock: Seconds since the epoch.
    """

    folder: Path
    seals: Callable[[], Mapping[str, Seal]]
    clock: Callable[[], float] = time.time

    def newest(self, wanted: Wanted) -> list[Capture]:
        """Return captures of masked output and features, newest files first.

        Raises:
            OSError: The folder or its keys cannot be read.
        """
        found: list[Capture] = []
        for place in reversed(files(self.folder, MASKED)):
            if self._is_outside(place, wanted.since, wanted.until):
                continue
            captures = reversed(self._read(place))
            found += [capture for capture in captures if wanted.holds(capture)]
            if len(found) >= wanted.most:
                break
        return found[: wanted.most]

    def find(self, identity: str) -> Capture | None:
        """Return the features and masked output of a prediction; None where they were not captured, or are no more.

        Raises:
            OSError: As above.
        """
        return self._find(identity, MASKED)

    def find_raw(self, identity: str) -> Capture | None:
        """Return what came in; whether somebody may see it is not asked here. Errors as above."""
        return self._find(identity, RAW)

    def _find(self, identity: str, ending: str) -> Capture | None:
        moment = named_at(identity)
        since, until = (None, None) if moment is None else (moment, moment)
        captures = (
            capture
            for place in files(self.folder, ending)
            if not self._is_outside(place, since, until)
            for capture in self._read(place)
        )
        return next((capture for capture in captures if capture.identity == identity), None)

    def _is_outside(self, place: Path, since: float | None, until: float | None) -> bool:
        """Say whether a file cannot hold a prediction between two times, or may not be opened any more."""
        made = made_at(place)
        early = until is not None and made > until + LATE_SECONDS
        return early or (since is not None and made < since - EARLY_SECONDS) or is_over(place, self.clock())

    def _read(self, place: Path) -> list[Capture]:
        seal = self.seals()[MASKED if place.name.endswith(MASKED) else RAW]
        try:
            return read_captures(place, seal)
        except (Unreadable, FileNotFoundError):
            # Another key's, or gone meanwhile: nothing of it is told.
            return []
