"""Live voices: one chunk of samples in, one chunk of masked samples out; whatever fails, the answer is silence."""

import math
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from masking.errors import MaskingError, ModelError, UnsupportedMedia
from masking.voice.loading import VoiceModel
from masking.voice.mask import live
from masking.voice.policy import VoicePolicy
from masking.voice.sound import SoundStream

RATES: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Samples per second that live sound may have."""
MOST_CHANNELS: Final = 2
LONGEST_CHUNK: Final = 0.5
"""Seconds of one chunk at most; 20 to 60 ms is what callers send."""
_FULL: Final = 32768


@dataclass(frozen=True, slots=True)
class LiveSound:
    """One masked chunk.

    Attributes:
        pcm: What to play, always as long as the chunk that came: masked sound of a moment ago, or silence.
        milliseconds: Wall time from taking the chunk to giving this answer.
        fault: Why it is silence; empty if it is masked sound.
    """

    pcm: bytes
    milliseconds: float
    fault: str


class LiveVoice:
    """Masks the chunks of one stream, one after the other.

    What comes out is what came in `delay_seconds` ago, masked; before that, silence. After a fault the stream begins
    anew, with silence again. With ``consistent`` the whole stream is one speaker.

    Args:
        policy: What is wished.
        model: Masks the voices.
        rate: Samples per second of each channel, one of `RATES`.
        channels: Channels, interleaved in a chunk: 1 or 2.

    Raises:
        UnsupportedMedia: Rate or channels are not taken.
    """

    def __init__(self, policy: VoicePolicy, model: VoiceModel, rate: int, channels: int) -> None:
        if rate not in RATES:
            raise UnsupportedMedia(f"live sound has one of these rates: {', '.join(map(str, RATES))}")
        if not 1 <= channels <= MOST_CHANNELS:
            raise UnsupportedMedia(f"live sound has 1 to {MOST_CHANNELS} channels")
        self._policy, self._model = policy, model
        self._rate, self._channels = rate, channels
        self._begin(0)

    @property
    def delay_seconds(self) -> float:
        """How long after it came in a sound comes out; constant."""
        return self._delay / self._rate

    def mask(self, chunk: bytes) -> LiveSound:
        """Mask the next chunk of the stream.

        Args:
            chunk: Whole samples of all channels, 16-bit little endian, interleaved, at most half a second. Anything
                else, and any failure, gives silence.
        """
        start = time.perf_counter()
        try:
            answer, fault = self._masked(chunk), ""
        except MaskingError as error:
            answer, fault = self.silence(len(chunk)), str(error)
        except Exception:  # noqa: BLE001  # whatever it was, the raw sound must not be what is heard
            answer, fault = self.silence(len(chunk)), "the sound could not be masked"
        if fault:
            self._begin(self._stream.next_utterance)
        return LiveSound(answer, 1000 * (time.perf_counter() - start), fault)

    def silence(self, size: int) -> bytes:
        """Give ``size`` bytes of silence."""
        return bytes(size)

    def _begin(self, utterance: int) -> None:
        """Begin the stream anew, with silence for as long as the delay is."""
        self._stream: SoundStream = live(self._policy, self._model, self._rate, self._channels, utterance)
        self._delay = math.ceil(self._stream.delay_seconds * self._rate)
        self._ready: NDArray[np.float32] = np.zeros((self._delay, self._channels), np.float32)

    def _masked(self, chunk: bytes) -> bytes:
        size = 2 * self._channels
        if not chunk or len(chunk) % size or len(chunk) > LONGEST_CHUNK * self._rate * size:
            raise UnsupportedMedia("a chunk holds whole samples of all channels, at most half a second of them")
        block = np.asarray(np.frombuffer(chunk, "<i2").reshape(-1, self._channels) / _FULL, np.float32)
        self._ready = np.concatenate([self._ready, self._stream.feed(block)])
        if len(self._ready) < len(block):
            raise ModelError("the masker held back more than it says")
        answer, self._ready = self._ready[: len(block)], self._ready[len(block) :]
        return np.rint(answer * (_FULL - 1)).astype("<i2").tobytes()
