"""Voices in arrays: samples in, masked samples out. What files, live sound and evaluation have in common."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from masking.voice.loading import VoiceModel
from masking.voice.maskers import converter
from masking.voice.policy import VoicePolicy
from masking.voice.sound import SoundStream
from masking.voice.stream import StreamSettings
from masking.voice.types import RATE, Mono


def mask_speech(samples: Mono, policy: VoicePolicy, model: VoiceModel) -> Mono:
    """Mask all speech of one recording.

    Args:
        samples: Shape (n,), float32 at 16 kHz; what lies beyond [-1, 1] is clipped.
        policy: What is wished.
        model: Masks the voices.

    Returns:
        As many samples, each belonging to the one at its place, in [-1, 1].

    Raises:
        DamagedMedia: A sample is not a number.
        ModelError: The model failed.
    """
    stream = of_file(policy, model, RATE, (0,))
    return np.concatenate([stream.feed(samples[:, None]), stream.finish()])[:, 0]


def of_file(policy: VoicePolicy, model: VoiceModel, rate: int, alike: Sequence[int]) -> SoundStream:
    """Make what masks one file; see `SoundStream` for the arguments."""
    settings = StreamSettings.of_files(policy)
    return SoundStream(policy, model.vad, partial(converter, policy.style, model), rate, alike, settings)


def live(policy: VoicePolicy, model: VoiceModel, rate: int, channels: int, first: int) -> SoundStream:
    """Make what masks one live stream, each channel by itself, from utterance number ``first`` on."""
    make = partial(converter, policy.style, model)
    return SoundStream(policy, model.vad, make, rate, range(channels), StreamSettings.live(policy), first)
