"""The fundamental frequency of a voice, frame by frame, as it comes in.

Candidates are peaks of the windowed signal's autocorrelation over that of the window (Boersma, Proceedings of the
Institute of Phonetic Sciences 17, 1993); the path through them is the cheapest one, found by dynamic programming with a
fixed lag, so that a stream needs no future beyond it.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from masking.voice.types import HOP, RATE, Frames, Mono

LOWEST_HZ: Final = 60.0
HIGHEST_HZ: Final = 420.0
STEP: Final = 4
"""Samples are taken by fours: below 2 kHz is all that pitch needs."""
WINDOW: Final = 640
"""Samples of a frame: 40 ms, 2.4 periods of the lowest voice."""
REACH: Final = WINDOW // 2
LAG: Final = 8
"""Frames of future that a decision waits for."""
VOICED: Final = 0.45
"""Height of the autocorrelation from which a frame may be voiced."""
QUIET: Final = 1e-3
"""Amplitude below which nothing is voiced."""
STATES: Final = 64
FINE: Final = 4
"""Pitches that are tried for each state: the best of them speaks for it."""
_JUMP: Final = 3.0
"""Cost of an octave between neighbouring frames."""
_SWITCH: Final = 0.25
"""Cost of voicing beginning or ending."""
_OCTAVE: Final = 0.04
"""What a candidate gains for each octave that it is higher, so that of two equal periods the shorter wins."""


@cache
def _grid() -> NDArray[np.float64]:
    return np.geomspace(LOWEST_HZ, HIGHEST_HZ, STATES * FINE)


@cache
def _shape() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    count = WINDOW // STEP
    window = np.hanning(count + 1)[:-1]
    own = _correlated(window[None])[0]
    return window, own / own[0]


def _correlated(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the autocorrelation up to half a window, four values to a sample of the frames, which band limits it to."""
    power = np.abs(rfft(frames, 2 * frames.shape[1])) ** 2
    return np.asarray(irfft(power, 2 * STEP * frames.shape[1])[:, : WINDOW // 2 + 1] * STEP)


def strengths(samples: Mono) -> NDArray[np.float64]:
    """Say how periodic each frame is at each pitch.

    Args:
        samples: Shape (n,), with context: the first frame is centred on sample `REACH`.

    Returns:
        Shape (frames, 256): normalised autocorrelation, at most about 1, at pitches spaced evenly in logarithm from 60
        to 420 Hz; 0 where the frame is quiet.
    """
    if len(samples) < WINDOW:
        return np.empty((0, STATES * FINE))
    window, own = _shape()
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    # A mean of four samples is a low-pass good enough for voices, and costs nothing.
    coarse = frames.reshape(len(frames), -1, STEP).mean(2).astype(np.float64)
    coarse = (coarse - coarse.mean(1, keepdims=True)) * window
    auto = _correlated(coarse)
    level = np.sqrt(auto[:, 0] / len(window))
    auto = auto / np.maximum(auto[:, :1], 1e-12) / np.maximum(own, 0.05)
    lags = RATE / _grid()
    low = np.clip(lags.astype(int), 1, len(own) - 2)
    # A parabola through the three nearest lags: between samples the autocorrelation is as smooth as that.
    offset = lags - low
    before, at, after = auto[:, low - 1], auto[:, low], auto[:, low + 1]
    value = at + 0.5 * offset * (after - before) + 0.5 * offset**2 * (after - 2 * at + before)
    return np.where((level > QUIET)[:, None], np.minimum(value, 1.0), 0.0)


class PitchTracker:
    """Follows the pitch of one stream: `feed` takes strengths and gives what has become certain."""

    def __init__(self) -> None:
        grid = np.log2(_grid()).reshape(STATES, FINE).mean(1)
        self._jumps = _JUMP * np.abs(grid[:, None] - grid[None, :])
        self._gain = _OCTAVE * (grid - grid[0])
        self._cost = np.zeros(STATES + 1)
        self._back: list[NDArray[np.intp]] = []
        self._waiting: list[NDArray[np.float64]] = []

    def feed(self, strengths: NDArray[np.float64]) -> Frames:
        """Take frames, give those that lie `LAG` frames behind: Hz in column 0 (0 if unvoiced), strength in 1."""
        rows = [row for frame in strengths if (row := self._next(frame)) is not None]
        return np.array(rows, np.float32).reshape(-1, 2)

    def finish(self) -> Frames:
        """Give the frames that are left."""
        states = self._path()
        rows = [self._row(frame, state) for frame, state in zip(self._waiting, states, strict=True)]
        self._back.clear()
        self._waiting.clear()
        return np.array(rows, np.float32).reshape(-1, 2)

    def _next(self, frame: NDArray[np.float64]) -> tuple[float, float] | None:
        heights = frame.reshape(STATES, FINE).max(1)
        voiced = self._cost[1:, None] + self._jumps
        back = voiced.argmin(0)
        stay = voiced[back, np.arange(STATES)]
        start = self._cost[0] + _SWITCH
        into = np.where(start < stay, 0, back + 1)
        last = int(self._cost[1:].argmin())
        end = self._cost[1 + last] + _SWITCH
        rest, from_rest = (self._cost[0], 0) if self._cost[0] <= end else (end, last + 1)
        cost = np.concatenate([[rest + VOICED], np.minimum(start, stay) + 1 - heights - self._gain])
        self._cost = cost - cost.min()
        self._back.append(np.concatenate([[from_rest], into]))
        self._waiting.append(frame)
        if len(self._waiting) <= LAG:
            return None
        state = self._path()[0]
        self._back.pop(0)
        return self._row(self._waiting.pop(0), state)

    def _path(self) -> list[int]:
        states: list[int] = []
        state = int(self._cost.argmin())
        for back in reversed(self._back):
            states.append(state)
            state = int(back[state])
        return states[::-1]

    @staticmethod
    def _row(frame: NDArray[np.float64], state: int) -> tuple[float, float]:
        if state == 0:
            return 0.0, float(frame.max())
        best = (state - 1) * FINE + int(frame[(state - 1) * FINE : state * FINE].argmax())
        return float(_grid()[best]), float(frame[best])


def pitch_of(samples: Mono) -> Frames:
    """Follow the pitch of a whole recording.

    Returns:
        Shape (n // 160 + 1, 2): Hz (0 where unvoiced) and how periodic the frame is, in [0, 1].
    """
    count = len(samples) // HOP + 1
    padded = np.zeros((count - 1) * HOP + WINDOW, np.float32)
    taken = samples[: len(padded) - REACH]
    padded[REACH : REACH + len(taken)] = taken
    tracker = PitchTracker()
    return np.concatenate([tracker.feed(strengths(padded)), tracker.finish()])
