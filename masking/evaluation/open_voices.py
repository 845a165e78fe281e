"""Voices that lie open in masked sound, judged against the original."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import numpy as np
from scipy.signal import correlate

from masking.evaluation.open_faces import Finding
from masking.voice.resample import Block
from masking.voice.types import RATE, Mono
from masking.voice.vad import WINDOW, Session, SpeechFinder

Stretch = tuple[int, int]
"""First sample at 16 kHz, and the one after the last."""
OPEN: Final = 0.85
"""Correlation from which a stretch of speech is as it was: low bit rates leave more, and a masked voice has less."""
LONGEST: Final = 16
"""Windows that are compared in one go: half a second."""
SHORTEST: Final = 4
"""Windows of speech below which nothing is compared: what is shorter correlates by chance."""
APART: Final = 160
"""Samples at 16 kHz by which the two may be apart."""
AUDIBLE: Final = 1e-4
"""Root mean square below which a stretch of the output tells nobody anything."""


class Comparison:
    """Compares speech with what became of it, as both come in.

    Args:
        vad: Session of the detector of speech.
        channels: How many channels; speech in one is looked for in the same one.
    """

    def __init__(self, vad: Session, channels: int) -> None:
        self._channels = [_Channel(vad) for _ in range(channels)]
        self._heard: list[list[Stretch]] = [[] for _ in range(channels)]
        self._open: list[list[Stretch]] = [[] for _ in range(channels)]

    @property
    def heard(self) -> float:
        """Seconds in which speech was compared; what several channels say at once counts once."""
        return _seconds(_merged(self._heard))

    @property
    def open(self) -> float:
        """Seconds of them that are as they were."""
        return _seconds(_merged(self._open))

    def feed(self, before: Block, after: Block) -> None:
        """Take as much of both, (n, channels) each, at 16 kHz."""
        for index, channel in enumerate(self._channels):
            channel.feed(before[:, index], after[:, index])
            self._take(index, channel.compared())

    def finish(self) -> None:
        """Compare what is left."""
        for index, channel in enumerate(self._channels):
            channel.finish()
            self._take(index, channel.compared())

    def findings(self) -> Iterator[Finding]:
        """Yield a finding for each stretch that is open, those of all channels together."""
        for first, last in _merged(self._open, LONGEST * WINDOW):
            text = f"speech from {first / RATE:.1f} to {last / RATE:.1f} s is as it was in the original"
            yield Finding("open_voice", text)

    def _take(self, channel: int, compared: Iterable[tuple[int, int, float]]) -> None:
        for first, last, alike in compared:
            _append(self._heard[channel], first, last)
            if alike >= OPEN:
                _append(self._open[channel], first, last)


def _append(stretches: list[Stretch], first: int, last: int) -> None:
    """Put a stretch at the end; where it goes on from the one before, that one becomes longer."""
    if stretches and stretches[-1][1] == first:
        first = stretches.pop()[0]
    stretches.append((first, last))


def _merged(channels: Iterable[list[Stretch]], gap: int = 0) -> list[Stretch]:
    """Put the stretches of all channels in order, those as one that overlap or are at most ``gap`` samples apart."""
    merged: list[Stretch] = []
    for first, last in sorted(chain.from_iterable(channels)):
        if merged and first <= merged[-1][1] + gap:
            first, last = merged[-1][0], max(merged.pop()[1], last)
        merged.append((first, last))
    return merged


def _seconds(stretches: Iterable[Stretch]) -> float:
    return sum(last - first for first, last in stretches) / RATE


class _Channel:
    """One channel of both: keeps what is being said until it is compared."""

    def __init__(self, vad: Session) -> None:
        self._finder = SpeechFinder(vad, keen=True)
        self._before: Mono = np.empty(0, np.float32)
        self._after: Mono = np.zeros(APART, np.float32)
        self._heard: list[bool] = []
        self._judged = 0
        self._start = 0

    def feed(self, before: Mono, after: Mono) -> None:
        self._before, self._after = np.concatenate([self._before, before]), np.concatenate([self._after, after])
        whole = len(self._before) // WINDOW
        fresh = self._before[self._judged * WINDOW : whole * WINDOW]
        if len(fresh):
            self._heard += self._finder.feed(fresh).speech.tolist()
        self._judged = whole

    def finish(self) -> None:
        """Fill the last window with silence, and have it followed by one that ends what is being said."""
        left = len(self._before) - self._judged * WINDOW
        self.feed(*np.zeros((2, -left % WINDOW + WINDOW + APART), np.float32))
        self._heard[-1] = False

    def compared(self) -> Iterator[tuple[int, int, float]]:
        """Yield first and last sample of each stretch of speech that is whole, and how alike both are in it."""
        while len(self._after) >= (min(LONGEST, self._judged) * WINDOW + 2 * APART) and self._judged:
            run = self._run()
            if run is None:
                return
            count, spoken = run
            size = count * WINDOW
            if spoken and count >= SHORTEST:
                alike = likeness(self._before[:size], self._after[: size + 2 * APART])
                yield self._start, self._start + size, alike
            self._drop(count)

    def _run(self) -> tuple[int, bool] | None:
        """Give the length of the stretch that comes next, and whether it is speech; None while it goes on."""
        spoken = self._heard[0]
        count = next((at for at, each in enumerate(self._heard) if each != spoken), None)
        if count is None:
            count = len(self._heard)
            if spoken and count < LONGEST:
                return None
        return min(count, LONGEST), spoken

    def _drop(self, windows: int) -> None:
        size = windows * WINDOW
        self._before, self._after = self._before[size:], self._after[size:]
        del self._heard[:windows]
        self._judged -= windows
        self._start += size


def likeness(before: Mono, after: Mono) -> float:
    """Say how much of a stretch is the same: the highest correlation at any shift, 1 for the same sound however loud.

    Args:
        before: Shape (n,).
        after: Shape (n + 320,): what became of it, with 10 ms more on either side.
    """
    energy = np.concatenate([[0.0], np.cumsum(np.square(after, dtype=np.float64))])
    local = energy[len(before) :] - energy[: -len(before)]
    own = float(np.square(before, dtype=np.float64).sum())
    if own <= 0 or local.max() < AUDIBLE**2 * len(before):
        return 0.0
    common = correlate(after.astype(np.float64), before.astype(np.float64), "valid", "fft")
    return float((np.abs(common) / np.sqrt(np.maximum(local, AUDIBLE**2 * len(before)) * own)).max())


def side_by_side(before: Iterator[Block], after: Iterator[Block]) -> Iterator[tuple[Block, Block]]:
    """Yield blocks of both, equally long each time, until one of them is over; take the other to its end then."""
    one, other = next(before, None), next(after, None)
    while one is not None and other is not None:
        size = min(len(one), len(other))
        yield one[:size], other[:size]
        one = one[size:] if size < len(one) else next(before, None)
        other = other[size:] if size < len(other) else next(after, None)
    for left in (before, after):
        deque(left, maxlen=0)
