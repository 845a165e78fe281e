"""How many spoken words lie open where the background is kept: alone, soon after somebody loud, and in noise.

`python -m benchmarks.voice_found [--words 150]`; reads `voices/speech_commands` of the folder that MASKER_REAL_DATA
names. A word lies open if half of its energy or more is not masked. Noise is as loud in both channels of a stereo
recording; a word is in one of them, 20 dB below it. *nobody*: share of the time in which noise alone is masked.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.voices import voices
from masking.voice.loading import load_voice
from masking.voice.policy import VoicePolicy
from masking.voice.pseudo import PseudoVoice
from masking.voice.stream import SpeechStream, StreamSettings
from masking.voice.types import RATE, Mono
from masking.voice.vad import Session
from mlops.registry.bundle import current
from mlops.settings import load_settings

SLOPES: Final = {"white": 0.0, "pink": 0.5}
"""Powers of frequency by which the amplitude of a noise falls."""
LOUDNESS: Final = (10, 0, -5, -10)
"""Decibels by which a word is louder than the noise."""
PEAK: Final = 0.3
NOBODY_SECONDS: Final = 30
PAUSE: Final = np.zeros(RATE, np.float32)

Channels = NDArray[np.float32]
"""Sound at 16 kHz, shape (n, channels)."""


class Silent:
    """A converter that says nothing: here it matters only where the gate is open."""

    delay = 0

    def feed(self, samples: Mono, voice: PseudoVoice) -> Mono:
        """Give silence."""
        return np.zeros_like(samples)

    def finish(self) -> Mono:
        """Give no more."""
        return np.empty(0, np.float32)


def is_masked(sound: Channels, vad: Session) -> NDArray[np.bool_]:
    """Tell for each sample whether it would be masked, once it was written with 16 bits."""
    policy = VoicePolicy(background="keep")
    stream = SpeechStream(policy, vad, Silent, sound.shape[1], StreamSettings.of_files(policy))
    written = np.asarray(np.rint(np.clip(sound, -1, 1) * 32767) / 32767, np.float32)
    gates = [stream.feed(written)[1], stream.finish()[1]]
    return np.concatenate(gates)[: len(sound)] >= 0.5


def noise(slope: float, samples: int, random: np.random.Generator) -> Mono:
    """Make noise of a mean square of 1."""
    hertz = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 40)
    made = np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) * hertz**-slope, samples)
    return np.asarray(made / made.std(), np.float32)


def open_words(words: list[Mono], place: Callable[[Mono, int], tuple[Channels, Mono]], vad: Session) -> float:
    """Give the share of words that lie open.

    Args:
        words: What is said.
        place: Gives a sound, (n, channels), for a word and its number, and what of it is the word, (n,).
        vad: Session of the detector of speech.
    """
    count = 0
    for number, word in enumerate(words):
        sound, said = place(word, number)
        energy = np.square(said, dtype=np.float64)
        count += float(energy[~is_masked(sound, vad)].sum()) >= 0.5 * float(energy.sum())
    return count / len(words)


def in_noise(slope: float, decibels: float) -> Callable[[Mono, int], tuple[Channels, Mono]]:
    """Place a word in noise, a second of it before and behind, at a level that nothing clips at."""

    def place(word: Mono, number: int) -> tuple[Channels, Mono]:
        said = np.concatenate([PAUSE, word, PAUSE])
        loud = np.square(word)[np.abs(word) > 0.05 * np.abs(word).max()].mean() ** 0.5 * 10 ** (-decibels / 20)
        level = min(1.0, 0.1 / loud)
        around = loud * noise(slope, len(said), np.random.default_rng(number))
        return np.asarray(level * (said + around), np.float32)[:, None], level * said

    return place


def in_one_of_two(word: Mono, number: int) -> tuple[Channels, Mono]:
    """Place a word in one channel, and noise that hides it there in both."""
    sound, said = in_noise(SLOPES["pink"], -20)(word, number)
    return np.concatenate([sound, sound - said[:, None]], axis=1), said


def rows(words: list[Mono], vad: Session) -> Iterator[str]:
    """Yield the lines of the table."""

    def alone(word: Mono, number: int) -> tuple[Channels, Mono]:
        said = np.concatenate([PAUSE, word, PAUSE])
        return said[:, None], said

    def answered(word: Mono, number: int) -> tuple[Channels, Mono]:
        before = np.concatenate([words[number - 1], PAUSE])
        said = np.concatenate([0 * before, word / 100, PAUSE])
        return (said + np.concatenate([before, 0 * word, 0 * PAUSE]))[:, None], said

    yield f"{len(words)} words"
    for told, place in (
        ("alone", alone),
        ("a second after one 40 dB louder", answered),
        ("20 dB below noise of both channels", in_one_of_two),
    ):
        yield f"{told:34} | {100 * open_words(words, place, vad):5.1f} % open"
    for name, slope in SLOPES.items():
        for decibels in LOUDNESS:
            share = open_words(words, in_noise(slope, decibels), vad)
            yield f"{f'{decibels:+d} dB beside {name} noise':34} | {100 * share:5.1f} % open"
        nobody = 0.03 * noise(slope, NOBODY_SECONDS * RATE, np.random.default_rng(0))
        masked = is_masked(nobody[:, None], vad).mean()
        yield f"{f'nobody, {name} noise':34} | {100 * masked:5.1f} % masked"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voice_found", description="Words that are not found.")
    parser.add_argument("--words", type=int, default=150, help="how many words are looked for")
    asked = parser.parse_args()
    settings = load_settings().registry
    bundle = current(settings.bundles_path, settings.voice_model)
    if bundle is None:
        raise SystemExit("there is no model of voices: make repro brings one")
    spoken = [word for word in voices().words.sounds if np.abs(word).max() > 0.02]
    chosen = spoken[:: max(1, len(spoken) // asked.words)][: asked.words]
    words = [np.asarray(PEAK * word / np.abs(word).max(), np.float32) for word in chosen]
    for row in rows(words, load_voice(bundle).vad):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
