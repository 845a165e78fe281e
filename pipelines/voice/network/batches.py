"""Stretches of frames that training looks at, drawn from the recordings of those who are not held aside."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.voice.types import BANDS
from pipelines.voice.network.augment import LOWEST, augmented
from pipelines.voice.network.frames import Frames
from pipelines.voice.network.phones import UNKNOWN
from pipelines.voice.network.targets import Targets

SHORT: Final = 100
"""Frames that a shorter recording counts as, when one is drawn: a single word is worth a second of a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Stretches side by side.

    Attributes:
        mel: What is heard, augmented; shape (b, t, 80), float32.
        classes: Shape (b, t), int64; -1 where there is nothing to learn.
        envelope: What is to be said, shape (b, t, 80), float32.
        voiced: Shape (b, t), float32 in {0, 1}.
    """

    mel: NDArray[np.float32]
    classes: NDArray[np.int64]
    envelope: NDArray[np.float32]
    voiced: NDArray[np.float32]


class Batches:
    """Draws batches, all from one seed.

    Args:
        frames: All recordings.
        targets: Of the same frames.
        count: Stretches in a batch.
        window: Frames of a stretch; shorter recordings have silence around them.
        seed: Of the draws.
    """

    def __init__(self, frames: Frames, targets: Targets, count: int, window: int, seed: int) -> None:
        self._frames, self._targets = frames, targets
        self._count, self._window = count, window
        self._rng = np.random.default_rng(seed)
        self._parts = [part for _, part in frames.recordings(held=False)]
        weights = np.maximum([part.stop - part.start for part in self._parts], SHORT)
        self._odds = weights / weights.sum()

    def draw(self) -> Batch:
        """Give the next batch."""
        shape = (self._count, self._window)
        mel = np.full((*shape, BANDS), LOWEST, np.float32)
        classes = np.full(shape, UNKNOWN, np.int64)
        envelope = np.zeros((*shape, BANDS), np.float32)
        voiced = np.zeros(shape, np.float32)
        for row, index in enumerate(self._rng.choice(len(self._parts), self._count, p=self._odds).tolist()):
            taken, place = self._stretch(self._parts[index])
            mel[row, place] = self._frames.mel[taken]
            classes[row, place] = self._frames.classes[taken]
            envelope[row, place] = self._targets.envelope[taken]
            voiced[row, place] = self._frames.voiced[taken]
        return Batch(augmented(mel, self._rng), classes, envelope, voiced)

    def _stretch(self, part: slice) -> tuple[slice, slice]:
        """Draw which frames of a recording are taken, and where in the window they lie."""
        length = part.stop - part.start
        room = abs(length - self._window)
        offset = int(self._rng.integers(0, room + 1))
        if length > self._window:
            return slice(part.start + offset, part.start + offset + self._window), slice(0, self._window)
        return part, slice(offset, offset + length)
