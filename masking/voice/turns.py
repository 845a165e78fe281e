"""Who speaks when: where the gate is open, where an utterance begins, and, where it is asked for, whose turn it is.

Windows of 32 ms come in with what was heard in them, and come out decided some windows later. A change of speaker is
where cepstra before and after differ most by Hotelling's T² (as Zhou and Hansen, IEEE Transactions on Speech and Audio
Processing 13, 2005, choose candidates); speakers are told apart by the same distance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from masking.voice.mel import log_mel
from masking.voice.types import RATE
from masking.voice.vad import WINDOW

PAUSE: Final = -(-RATE // 2 // WINDOW)
"""Windows without speech that end an utterance: half a second."""
SIDE: Final = 64
"""Windows on either side of a change of speaker that are compared: 2 s."""
LEAST: Final = 44
"""Of them, windows with speech that are needed: 1.4 s."""
STRIDE: Final = 4
"""Every how many windows a change is looked for."""
NEAR: Final = 16
"""Windows on either side among which a change must be the clearest."""
CHANGED: Final = 7.0
"""T² from which the speaker has changed: within one utterance of one person it hardly comes so far."""
KNOWN: Final = 2.0
"""T² up to which a speaker is one that was heard before, if both are heard for long."""
SHORT: Final = 4.7
"""What is added to that for a second of speech on either side, and half of it for two: what is said weighs more."""
CEPSTRA: Final = 19
FRAMES_A_SECOND: Final = 2 * RATE / WINDOW
_FLOOR: Final = 1e-2

Cepstra = NDArray[np.float32]
"""Timbre of a window, shape (2, 19): two frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What was heard in 512 samples.

    Attributes:
        speech: Whether the detector calls it speech.
        heard: Whether it may be a voice, speech or not.
        cepstra: Its timbre; needed only where changes of speaker are looked for.
    """

    speech: bool
    heard: bool
    cepstra: Cepstra | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a window.

    Attributes:
        before: Whether the gate is open in the window before.
        open: Whether it is open in this one.
        after: Whether it is open in the next.
        begins: Whether an utterance begins here.
        speaker: Number of the speaker of that utterance, where speakers are told apart.
    """

    before: bool
    open: bool
    after: bool
    begins: bool
    speaker: int | None = None


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are taken.

    Attributes:
        lead: Windows before a voice for which the gate is open already.
        trail: Windows after it for which the gate stays open.
        changes: Whether an utterance also ends where the speaker changes without a pause.
        speakers: Whether speakers are told apart.
    """

    lead: int = 7
    trail: int = 10
    changes: bool = True
    speakers: bool = False

    @property
    def ahead(self) -> int:
        """Windows that must have come after one before it is decided."""
        return max(self.lead + 1, SIDE + NEAR if self.changes or self.speakers else 0)


class Turns:
    """Takes windows in order, and gives for each what becomes of it, `TurnSettings.ahead` windows later."""

    def __init__(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._windows: list[Window] = []
        self._first = 0
        self._next = 0
        self._begun: int | None = None
        self._said = False
        self._scores: dict[int, float] = {}
        self._speakers = Speakers()

    def feed(self, windows: Sequence[Window]) -> list[Decided]:
        """Take the next windows, give what has become certain."""
        self._windows += windows
        return list(self._decided(self._end - self._settings.ahead))

    def finish(self) -> list[Decided]:
        """Give the rest."""
        return list(self._decided(self._end))

    @property
    def _end(self) -> int:
        return self._first + len(self._windows)

    def _decided(self, until: int) -> Iterator[Decided]:
        for index in range(self._next, until):
            self._next = index + 1
            before, now, after = (self._open(index + step) for step in (-1, 0, 1))
            begins = now and (not before or self._begun is None or self._resumes(index) or self._changes(index))
            if begins:
                self._begun, self._said = index, False
            yield Decided(before, now, after, begins, self._speaker(index) if begins else None)
            self._said |= self._between(index, index + 1)[0].speech
            self._forget(index)

    def _between(self, start: int, stop: int) -> list[Window]:
        return self._windows[max(0, start - self._first) : max(0, stop - self._first)]

    def _open(self, index: int) -> bool:
        near = self._between(index - self._settings.trail, index + self._settings.lead + 1)
        return any(window.heard for window in near)

    def _resumes(self, index: int) -> bool:
        """Tell whether speech comes again after a pause, as soon as the gate would open for it."""
        if not self._said:
            return False
        lead = self._settings.lead
        coming = self._between(index + lead, index + lead + 1)
        silent = self._between(max(self._begun or 0, index + lead - PAUSE), index + lead)
        spoken = len(silent) == PAUSE and not any(window.speech for window in silent)
        return spoken and bool(coming) and coming[0].speech

    def _changes(self, index: int) -> bool:
        """Tell whether another speaker takes over here: most clearly of all places around."""
        if not self._settings.changes or index % STRIDE:
            return False
        score = self._score(index)
        if score < CHANGED:
            return False
        around = range(index - NEAR, index + NEAR + 1, STRIDE)
        return score >= max(self._score(other) for other in around)

    def _score(self, index: int) -> float:
        if index not in self._scores:
            left = _timbre(self._between(max(self._begun or 0, index - SIDE), index))
            right = _timbre(self._between(index, index + SIDE))
            self._scores[index] = left.distance(right) if min(left.count, right.count) >= 2 * LEAST else 0.0
        return self._scores[index]

    def _speaker(self, index: int) -> int | None:
        if not self._settings.speakers:
            return None
        return self._speakers.of(_timbre(self._until_pause(index)))

    def _until_pause(self, index: int) -> list[Window]:
        """Give the windows of the utterance that begins here, 2 s of them at most: behind a pause may be another."""
        windows = self._between(index, index + SIDE)
        first = next((at for at, window in enumerate(windows) if window.speech), len(windows))
        for end in range(first + PAUSE, len(windows) + 1):
            if not any(window.speech for window in windows[end - PAUSE : end]):
                return windows[:end]
        return windows

    def _forget(self, index: int) -> None:
        if index - self._first > 2 * SIDE:
            del self._windows[: index - SIDE - self._first]
            self._first = index - SIDE
            self._scores = {at: score for at, score in self._scores.items() if at >= index - NEAR}


@dataclass(slots=True, eq=False)
class Timbre:
    """Mean and spread of cepstra.

    Attributes:
        count: How many frames.
        total: Their sum, shape (19,).
        squares: The sum of their outer products, shape (19, 19).
    """

    count: int = 0
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(CEPSTRA))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros((CEPSTRA, CEPSTRA)))

    def distance(self, other: "Timbre") -> float:
        """Give T²: how far the means are apart, measured by the spread of both."""
        apart = self.total / self.count - other.total / other.count
        spread = (self._covariance() + other._covariance()) / 2 + _FLOOR * np.eye(CEPSTRA)
        return float(apart @ np.linalg.solve(spread, apart))

    def doubt(self, other: "Timbre") -> float:
        """Give by what T² may be higher because little was said: words then weigh more than who says them."""
        return SHORT * FRAMES_A_SECOND * (1 / self.count + 1 / other.count)

    def add(self, other: "Timbre") -> None:
        """Take in the frames of another."""
        self.count += other.count
        self.total = self.total + other.total
        self.squares = self.squares + other.squares

    def _covariance(self) -> NDArray[np.float64]:
        mean = self.total / self.count
        return self.squares / self.count - np.outer(mean, mean)


class Speakers:
    """Tells the speakers of a file apart, as they come."""

    def __init__(self) -> None:
        self._known: list[Timbre] = []

    def of(self, timbre: Timbre) -> int:
        """Give the number of the speaker who sounds most like this: one who was heard before, or the next new one.

        Where too little is said to tell, it is the one whom it is likest.
        """
        if not timbre.count:
            return 0
        distances = [known.distance(timbre) - known.doubt(timbre) for known in self._known]
        nearest = int(np.argmin(distances)) if distances else 0
        if not distances or (distances[nearest] > KNOWN and timbre.count >= LEAST):
            self._known.append(timbre)
            return len(self._known) - 1
        if distances[nearest] <= KNOWN:
            self._known[nearest].add(timbre)
        return nearest


def cepstra(window: NDArray[np.float32]) -> Cepstra:
    """Analyse the timbre of a window of (576,) samples, whatever its level; see `Cepstra`."""
    return np.asarray(dct(log_mel(window[:560]), norm="ortho", axis=1)[:, 1 : CEPSTRA + 1], np.float32)


def _timbre(windows: Sequence[Window]) -> Timbre:
    spoken = [window.cepstra for window in windows if window.speech and window.cepstra is not None]
    if not spoken:
        return Timbre()
    frames = np.concatenate(spoken).astype(np.float64)
    return Timbre(len(frames), frames.sum(0), frames.T @ frames)
