"""What all styles share: sound becomes frames, frames are given another voice, and become sound again.

samples → log-mel, pitch, samples around → style → envelope, pitch, voicing → synthesis
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from masking.voice import mel, pitch
from masking.voice.envelope import REACH, SIZE
from masking.voice.pseudo import AVERAGE, PseudoVoice
from masking.voice.synthesis import Synthesis
from masking.voice.types import BANDS, HOP, Frames, Mono

MOST: Final = 200
"""Frames that are worked on in one go at most, so that memory does not grow with what is fed at once."""
FUTURE: Final = max(REACH, pitch.REACH + pitch.LAG * HOP)
"""Samples after a frame's centre that its analysis needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Frames in a row of one utterance, with all that a style may know of them.

    Attributes:
        mel: Log-mel frames with the context that the style asked for, shape (left + t + right, 80).
        samples: Samples around each frame, shape (t, 1024).
        pitch: Hz, 0 where unvoiced, shape (t,).
        strength: How periodic each frame is, in [0, 1], shape (t,).
        voice: The voice to be given.
        begins: Whether the first of them begins an utterance.
    """

    mel: Frames
    samples: NDArray[np.float32]
    pitch: NDArray[np.float32]
    strength: NDArray[np.float32]
    voice: PseudoVoice
    begins: bool


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """The same frames in another voice: see `Synthesis.feed` for shapes and units."""

    envelope: Frames
    pitch: NDArray[np.float32]
    voicing: NDArray[np.float32]


class Style(Protocol):
    """What a style does: it may keep statistics of what it heard before, never of what comes."""

    @property
    def left(self) -> int:
        """Log-mel frames of the past that it wants to see."""

    @property
    def right(self) -> int:
        """Log-mel frames of the future."""

    def say(self, heard: Heard) -> Said:
        """Give frames the voice that they are to have."""


class FrameConverter:
    """Runs a style over a stream; see `masking.voice.maskers.Converter`."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._future = max(FUTURE, mel.REACH + style.right * HOP)
        self._past = max(SIZE, mel.REACH + style.left * HOP)
        self.delay = self._future + HOP
        self._samples = np.zeros(self._past, np.float32)
        self._begin = -self._past
        """Place in the stream of the first sample that is kept."""
        self._frame = 0
        """Number of the next frame to be said."""
        self._tracker = pitch.PitchTracker()
        self._tracked = 0
        self._pitch = np.empty((0, 2), np.float32)
        self._voices: list[tuple[int, PseudoVoice]] = []
        self._taken = 0
        self._given = 0
        self._last: PseudoVoice | None = None
        self._synthesis: Synthesis | None = None

    def feed(self, samples: Mono, voice: PseudoVoice) -> Mono:
        """Take samples that are to be said in that voice, give what is done."""
        if not self._voices or self._voices[-1][1] is not voice:
            self._voices.append((self._taken, voice))
        made = []
        for start in range(0, len(samples), MOST * HOP):
            piece = samples[start : start + MOST * HOP]
            self._taken += len(piece)
            self._samples = np.concatenate([self._samples, piece])
            made.append(self._advance())
        return self._give(made)

    def finish(self) -> Mono:
        """Give the rest, as if silence followed."""
        if self._given == self._taken:
            return np.empty(0, np.float32)
        frames = self._taken // HOP + 2
        silence = np.zeros(frames * HOP + self._future - self._taken, np.float32)
        self._samples = np.concatenate([self._samples, silence])
        return self._give([self._advance(frames)])

    def _give(self, made: list[Mono]) -> Mono:
        given = np.concatenate([np.empty(0, np.float32), *made])[: self._taken - self._given]
        self._given += len(given)
        return given

    def _advance(self, most: int | None = None) -> Mono:
        """Say all frames whose future has come."""
        end = self._begin + len(self._samples)
        ready = (end - self._future) // HOP + 1 if end >= self._future else 0
        if most is not None:
            ready = min(ready, most)
        self._track((end - pitch.REACH) // HOP + 1 if end >= pitch.REACH else 0)
        made = []
        while self._frame < ready:
            stop = min(ready, self._frame + MOST, self._next_voice())
            made.append(self._say(stop))
        self._forget()
        return np.concatenate([np.empty(0, np.float32), *made])

    def _next_voice(self) -> int:
        later = [place for place, _ in self._voices[1:] if place > self._frame * HOP]
        return -(-later[0] // HOP) if later else np.iinfo(np.int64).max

    def _say(self, stop: int) -> Mono:
        while len(self._voices) > 1 and self._voices[1][0] <= self._frame * HOP:
            self._voices.pop(0)
        voice = self._voices[0][1] if self._voices else AVERAGE
        count = stop - self._frame
        rows, self._pitch = self._pitch[:count], self._pitch[count:]
        heard = Heard(
            mel=self._mel(stop),
            samples=self._around(stop),
            pitch=rows[:, 0],
            strength=rows[:, 1],
            voice=voice,
            begins=voice is not self._last,
        )
        if self._synthesis is None:
            self._synthesis = Synthesis(voice.seed)
        self._last = voice
        said = self._style.say(heard)
        made = self._synthesis.feed(said.envelope, said.pitch, said.voicing)
        # The sound of a frame leads to it from the one before: what comes before the first is nobody's.
        made = made[HOP:] if self._frame == 0 else made
        self._frame = stop
        return made

    def _track(self, until: int) -> None:
        if until > self._tracked:
            piece = self._cut(self._tracked, until, pitch.REACH, pitch.REACH)
            self._pitch = np.concatenate([self._pitch, self._tracker.feed(pitch.strengths(piece))])
            self._tracked = until

    def _mel(self, stop: int) -> Frames:
        first, last = self._frame - self._style.left, stop + self._style.right
        frames = mel.log_mel(self._cut(first, last, mel.REACH, mel.REACH))
        return frames.reshape(-1, BANDS)

    def _around(self, stop: int) -> NDArray[np.float32]:
        return np.lib.stride_tricks.sliding_window_view(self._cut(self._frame, stop, REACH, REACH), SIZE)[::HOP]

    def _cut(self, first: int, last: int, before: int, after: int) -> Mono:
        """Give the samples of frames from ``first`` to before ``last`` with their reach on both sides."""
        start = first * HOP - before - self._begin
        return self._samples[start : (last - 1) * HOP + after - self._begin]

    def _forget(self) -> None:
        oldest = min(self._frame * HOP - self._past, self._tracked * HOP - pitch.REACH) - HOP
        gone = oldest - self._begin
        if gone > 0:
            self._samples = self._samples[gone:]
            self._begin = oldest
