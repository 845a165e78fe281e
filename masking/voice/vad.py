"""Finds speech, and rather too much of it than too little: what is not found may be heard as it was.

The detector is Silero's (MIT), which gives the probability of speech in each window of 32 ms. Quiet voices are lifted
before it listens, and what it misses counts as speech all the same if it is as periodic as a voice. A keen finder is
for sound whose background stays: there a word that is missed is heard by everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from masking.errors import ModelError
from masking.voice.types import RATE

WINDOW: Final = 512
"""Samples that are judged as one."""
CONTEXT: Final = 64
"""Samples before a window that the detector wants to hear."""
SPEECH: Final = 0.15
"""Probability from which a window is speech; its authors take 0.5, at which the ends of quiet words go lost."""
MAYBE: Final = 0.08
"""Probability from which a window may be a voice: in loud noise many words come no higher, and noise alone seldom."""
MAYBE_KEEN: Final = 0.02
"""The same for a keen finder: more of the words that are drowned in noise come so high, and some of noise alone."""
PERIODIC: Final = 0.75
"""Height of the autocorrelation from which a window sounds like a voice."""
AUDIBLE: Final = 10 ** (-75 / 20)
"""Amplitude from which a window can sound like anything, its low tones weakened."""
LIFTED_TO: Final = 0.1
MOST_LIFT: Final = 300.0
FORGOTTEN: Final = 10 ** (-1 / 20 * WINDOW / RATE)
"""By what the level that was heard falls from one window to the next: 1 dB in a second."""
FORGOTTEN_SOON: Final = 10 ** (-30 / 20 * WINDOW / RATE)
"""The same for the second ear of a keen finder, 30 dB in a second: whoever answers from afar is lifted, too."""
_LAGS: Final = np.arange(RATE // 400, RATE // 60)
_WEAKENED: Final = 0.95

Block = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What was heard in t windows.

    Attributes:
        speech: Shape (t,): what the detector calls speech.
        voice: Shape (t,): what may be a voice, be it speech or not.
        windows: Shape (t, 576): the windows with their context, quiet ones lifted.
        level: Shape (t,): root mean square of each as it came.
    """

    speech: Flags
    voice: Flags
    windows: Block
    level: NDArray[np.float64]


class Session(Protocol):
    """The part of an onnxruntime session that is used here."""

    def run(self, names: Sequence[str] | None, inputs: Mapping[str, Any]) -> Sequence[Any]:
        """Run the graph."""


class SpeechFinder:
    """Listens to one channel, some windows at a time.

    Args:
        session: Silero's graph over sequences: ``input`` (t, 576), ``h`` and ``c`` (1, 1, 128); gives probabilities
            (t,) and the next ``h`` and ``c``.
        keen: Whether to listen twice, once with an ear for what is quiet soon after what is loud, and to take more for
            a voice.
    """

    def __init__(self, session: Session, *, keen: bool = False) -> None:
        self._before: Block = np.zeros(CONTEXT, np.float32)
        self._ears = [_Ear(session, kept) for kept in ((FORGOTTEN, FORGOTTEN_SOON) if keen else (FORGOTTEN,))]
        self._maybe = MAYBE_KEEN if keen else MAYBE

    def feed(self, samples: Block) -> Heard:
        """Judge windows: samples of shape (512 t,).

        Raises:
            ModelError: The detector failed.
        """
        heard = np.concatenate([self._before, samples])
        self._before = heard[-CONTEXT:].copy()
        windows = np.lib.stride_tricks.sliding_window_view(heard, CONTEXT + WINDOW)[::WINDOW]
        level = np.sqrt(np.square(windows, dtype=np.float64).mean(1))
        by_ear = [ear.feed(windows, level) for ear in self._ears]
        likeliest = np.max([probabilities for probabilities, _ in by_ear], axis=0)
        voice = (likeliest >= self._maybe) | periodic(windows)
        return Heard(likeliest >= SPEECH, voice, by_ear[-1][1], level)


class _Ear:
    """One way of lifting what is quiet, and the detector that listens to it."""

    def __init__(self, session: Session, kept: float) -> None:
        self._session = session
        self._kept = kept
        self._state = [np.zeros((1, 1, 128), np.float32) for _ in range(2)]
        self._level = 0.0

    def feed(self, windows: Block, levels: NDArray[np.float64]) -> tuple[NDArray[np.float32], Block]:
        """Give the probability of each window, and the windows as they were listened to."""
        lifted = np.asarray(windows * self._lift(levels)[:, None], np.float32)
        return self._probabilities(lifted), lifted

    def _probabilities(self, windows: Block) -> NDArray[np.float32]:
        try:
            found, *state = self._session.run(None, {"input": windows, "h": self._state[0], "c": self._state[1]})
        except Exception as error:  # onnxruntime raises classes of its own making, and all of them mean this
            raise ModelError(f"the detector of speech failed ({type(error).__name__})") from error
        probabilities = np.asarray(found, np.float32).reshape(-1)
        if len(probabilities) != len(windows) or not np.isfinite(probabilities).all():
            raise ModelError("the detector of speech did not answer with a probability for each window")
        self._state = [np.asarray(each, np.float32) for each in state]
        return probabilities

    def _lift(self, levels: NDArray[np.float64]) -> NDArray[np.float32]:
        """Give the factor for each window that brings the loudest of the last seconds to a usual level."""
        factors = np.empty(len(levels), np.float32)
        for index, level in enumerate(levels):
            self._level = max(float(level), self._level * self._kept)
            factors[index] = min(max(1.0, LIFTED_TO / max(self._level, 1e-9)), MOST_LIFT)
        return factors


def periodic(windows: Block) -> Flags:
    """Say which windows sound like a voice: loud enough, and periodic at 60 to 400 Hz.

    Args:
        windows: Shape (t, 576).
    """
    size = windows.shape[1]
    bright = np.diff(windows, axis=1, prepend=windows[:, :1]) + (1 - _WEAKENED) * windows
    spectrum = rfft(bright, 2 * size)
    auto = irfft(np.abs(spectrum) ** 2)[:, _LAGS]
    power = np.cumsum(np.square(bright, dtype=np.float64), axis=1)
    whole = power[:, -1:]
    overlap = np.sqrt(power[:, size - 1 - _LAGS] * np.maximum(whole - power[:, _LAGS - 1], 0))
    alike = (auto / np.maximum(overlap, 1e-12)).max(axis=1)
    return np.asarray((alike >= PERIODIC) & (whole[:, 0] / size >= AUDIBLE**2), np.bool_)
