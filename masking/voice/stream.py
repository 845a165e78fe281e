"""The streaming core at 16 kHz: samples go in, and masked samples come out some time later, each at its own place.

    hear (speech) → take turns → convert → level → gate

All work is done on blocks that begin at fixed places of the stream, so the answer does not depend on how it was cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from masking.errors import MaskingError, ModelError
from masking.voice.level import Leveller
from masking.voice.maskers import Converter
from masking.voice.policy import VoicePolicy
from masking.voice.pseudo import PseudoVoice
from masking.voice.report import Account, Utterance
from masking.voice.resample import Block
from masking.voice.turns import Decided, Turns, TurnSettings, Window, cepstra
from masking.voice.types import RATE, Mono
from masking.voice.vad import WINDOW, Heard, Session, SpeechFinder

FADE: Final = 160
"""Samples in which the gate opens or closes: 10 ms, all of them in a window without speech."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How a stream is worked on.

    Attributes:
        windows: Windows of 32 ms in a block: more of them cost less, fewer come out sooner.
        turns: How turns are taken.
    """

    windows: int
    turns: TurnSettings

    @classmethod
    def of_files(cls, policy: VoicePolicy) -> "StreamSettings":
        """For files: a second at a time, with 2.6 s of future to tell speakers apart by."""
        return cls(32, TurnSettings(speakers=policy.consistent))

    @classmethod
    def live(cls, policy: VoicePolicy) -> "StreamSettings":
        """For live sound: as soon as can be, and later where the background stays: there no word may be missed."""
        return cls(1, TurnSettings(lead=4 if policy.background == "drop" else 7, changes=False))

    @property
    def delay(self) -> int:
        """Samples at 16 kHz by which the core is behind at most, without the converter."""
        return (self.windows + self.turns.ahead) * WINDOW + FADE


class SpeechStream:
    """Masks the speech of some channels that are heard together: speech in one of them is speech in all.

    Where the background stays, what channels have in common and what they have not is listened to as well.

    Args:
        policy: What is wished.
        vad: Session of the detector of speech.
        make: Makes a converter; each channel has its own, all with the same pseudo-voices.
        channels: How many channels.
        settings: How the stream is worked on.
        first: Number of the first utterance.

    Attributes:
        account: What happened so far.
        delay: Samples by which what comes out is behind at most.
    """

    def __init__(
        self,
        policy: VoicePolicy,
        vad: Session,
        make: Callable[[], Converter],
        channels: int,
        settings: StreamSettings,
        first: int = 0,
    ) -> None:
        self.account = Account()
        self._policy = policy
        self._settings = settings
        self._keen = policy.background == "keep"
        heard = channels + 2 * (channels - 1) if self._keen else channels
        self._finders = [SpeechFinder(vad, keen=self._keen) for _ in range(heard)]
        self._turns = Turns(settings.turns)
        self._lanes = [_Lane(make()) for _ in range(channels)]
        self.delay = settings.delay + self._lanes[0].converter.delay
        self._fresh: Block = np.empty((0, channels), np.float32)
        self._waiting: Block = np.empty((0, channels), np.float32)
        self._gate: Mono = np.empty(0, np.float32)
        self._at = 0
        self._next = first
        self._voice = PseudoVoice.draw(policy.number(first))
        self._talking = False

    @property
    def next_utterance(self) -> int:
        """Number that the next utterance will have."""
        return self._next

    def feed(self, samples: Block) -> tuple[Block, Mono]:
        """Take samples, give what is done.

        Args:
            samples: Shape (n, channels), finite, in [-1, 1].

        Returns:
            Masked samples (m, channels), silence where the gate is shut, and the gate (m,) in [0, 1].

        Raises:
            ModelError: A model failed or did not answer as it should.
        """
        self._fresh = np.concatenate([self._fresh, samples])
        size = self._settings.windows * WINDOW
        while len(self._fresh) >= size:
            block, self._fresh = self._fresh[:size], self._fresh[size:]
            self._convert(self._turns.feed(self._hear(block)), block)
        return self._done()

    def finish(self) -> tuple[Block, Mono]:
        """Give the rest; as many samples have then come out as went in."""
        left = len(self._fresh)
        if left:
            block = np.concatenate([self._fresh, np.zeros((-left % WINDOW, self._fresh.shape[1]), np.float32)])
            self._convert(self._turns.feed(self._hear(block)), self._fresh)
        self._convert(self._turns.finish(), self._fresh[:0])
        self._end_utterance()
        for lane in self._lanes:
            lane.finish()
        if any(len(lane.done) != len(self._gate) for lane in self._lanes):
            raise ModelError("the masker did not give as many samples as it took")
        return self._done()

    def _hear(self, block: Block) -> list[Window]:
        sounds = np.concatenate([block, _between(block)], axis=1) if self._keen else block
        heard = [finder.feed(np.ascontiguousarray(sounds[:, index])) for index, finder in enumerate(self._finders)]
        return [self._window(heard, index) for index in range(len(block) // WINDOW)]

    def _window(self, heard: Sequence[Heard], index: int) -> Window:
        speech = any(each.speech[index] for each in heard)
        loudest = max(heard, key=lambda each: float(each.level[index]))
        wanted = speech and (self._settings.turns.changes or self._settings.turns.speakers)
        timbre = cepstra(loudest.windows[index]) if wanted else None
        return Window(speech, any(each.voice[index] for each in heard), timbre)

    def _convert(self, decided: Sequence[Decided], block: Block) -> None:
        """Convert the windows that are decided, those in a row with the same pseudo-voice in one go."""
        self._waiting = np.concatenate([self._waiting, block])
        start = 0
        for index, window in enumerate(decided):
            if window.begins:
                self._pass_on(decided[start:index])
                start = index
                self._begin(window)
        self._pass_on(decided[start:])

    def _pass_on(self, windows: Sequence[Decided]) -> None:
        if not windows:
            return
        gate = np.concatenate([_curve(window) for window in windows])[: len(self._waiting)]
        taken, self._waiting = self._waiting[: len(gate)], self._waiting[len(gate) :]
        self._gate = np.concatenate([self._gate, gate])
        for index, lane in enumerate(self._lanes):
            lane.feed(taken[:, index] * gate, self._voice)
        for window in windows:
            self._count(window)

    def _count(self, window: Decided) -> None:
        if window.open:
            self.account.speech += WINDOW
        elif window.before:
            self._end_utterance()
        self._at += WINDOW

    def _begin(self, window: Decided) -> None:
        self._end_utterance()
        speakers = self._settings.turns.speakers
        # Without the future that telling speakers apart needs, a stream that is to be consistent is one speaker.
        speaker = (window.speaker if speakers else 0) if self._policy.consistent else None
        self._voice = PseudoVoice.draw(self._policy.number(self._next if speaker is None else speaker))
        self._next += 1
        seconds = self._at / RATE
        self.account.utterances.append(Utterance(round(seconds, 3), round(seconds, 3), speaker))
        self._talking = True

    def _end_utterance(self) -> None:
        if self._talking:
            begun = self.account.utterances[-1]
            end = round(self._at / RATE, 3)
            self.account.utterances[-1] = Utterance(begun.first_seconds, end, begun.speaker)
            self._talking = False

    def _done(self) -> tuple[Block, Mono]:
        ready = min(len(self._gate), *(len(lane.done) for lane in self._lanes))
        gate, self._gate = self._gate[:ready], self._gate[ready:]
        masked = np.stack([lane.take(ready) for lane in self._lanes], axis=1)
        return np.asarray(masked * gate[:, None], np.float32), gate


class _Lane:
    """One channel on its way through its converter."""

    def __init__(self, converter: Converter) -> None:
        self.converter = converter
        self.done: Mono = np.empty(0, np.float32)
        self._dry: Mono = np.empty(0, np.float32)
        self._leveller = Leveller()

    def feed(self, samples: Mono, voice: PseudoVoice) -> None:
        self._dry = np.concatenate([self._dry, samples])
        try:
            made = self.converter.feed(samples, voice)
        except MaskingError:
            raise
        except Exception as error:
            raise ModelError(f"the masker of voices failed ({type(error).__name__})") from error
        self._level(made)

    def finish(self) -> None:
        try:
            made = self.converter.finish()
        except MaskingError:
            raise
        except Exception as error:
            raise ModelError(f"the masker of voices failed ({type(error).__name__})") from error
        self._level(made)
        self.done = np.concatenate([self.done, self._leveller.finish()])

    def take(self, count: int) -> Mono:
        taken, self.done = self.done[:count], self.done[count:]
        return taken

    def _level(self, made: Mono) -> None:
        if made.ndim != 1 or len(made) > len(self._dry):
            raise ModelError("the masker gave more samples than it took")
        if not np.isfinite(made).all():
            raise ModelError("the masker gave samples that are no numbers")
        dry, self._dry = self._dry[: len(made)], self._dry[len(made) :]
        self.done = np.concatenate([self.done, self._leveller.feed(dry, np.asarray(made, np.float32))])


def _between(block: Block) -> Block:
    """Give what is in one channel and not in the next, and what is in both: noise that all have hides no voice there.

    Args:
        block: Shape (n, channels).

    Returns:
        Half the difference and half the sum of each two channels in a row, shape (n, 2 * (channels - 1)).
    """
    left, right = block[:, :-1] / 2, block[:, 1:] / 2
    return np.concatenate([left - right, left + right], axis=1)


def _curve(window: Decided) -> Mono:
    """Give the gate of a window: the fades lie in it only if there is no speech in it."""
    if window.open:
        return np.ones(WINDOW, np.float32)
    curve = np.zeros(WINDOW, np.float32)
    ramp = (np.arange(1, FADE + 1) / (FADE + 1)).astype(np.float32)
    if window.before:
        curve[:FADE] = ramp[::-1]
    if window.after:
        curve[-FADE:] = ramp
    return curve
