"""A small judge of what is understood: which of a few words somebody said.

A convolutional network of about 90 thousand weights on the log-mel picture of a second, as small keyword spotters are
(Sainath and Parada, Interspeech 2015). It learns from a thousand clean words in a minute or two of CPU time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.ndimage import map_coordinates

from masking.evaluation.voice.network import Adam, Array, Layer, learn, network, warmed
from masking.evaluation.voice.spectra import MELS, analyse
from masking.evaluation.voice.types import Floats, Indices
from masking.voice.types import Mono

LENGTH: Final = 100
RANGE: Final = 12.0
COPIES: Final = 5
EPOCHS: Final = 9
BATCH: Final = 64
RATE: Final = 4e-3
DECAY: Final = 1e-2
SMOOTH: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class WordJudge:
    """Tells which of ``words`` a recording of about a second says."""

    words: tuple[str, ...]
    layers: tuple[Layer, ...]

    @classmethod
    def learn(cls, sounds: Sequence[Mono], said: Sequence[str], seed: int = 0, copies: int = COPIES) -> Self:
        """Learn from clean recordings, each also ``copies`` times with pace, place, throat and room changed.

        Raises:
            ValueError: there are fewer than two words, or not as many as there are recordings.
        """
        words = tuple(sorted(set(said)))
        if len(words) < 2 or len(sounds) != len(said):
            raise ValueError(f"{len(sounds)} recordings of {len(words)} words are nothing to learn from")
        rng = np.random.default_rng(seed)
        plain = [picture(sound) for sound in sounds]
        seen = np.stack([*plain, *(_changed(each, rng) for _ in range(copies) for each in plain)])
        truth = np.tile(np.array([words.index(word) for word in said], np.intp), copies + 1)
        layers = network((LENGTH, MELS), len(words), rng)
        _teach(layers, seen, truth, len(words), rng)
        return cls(words, layers)

    def hear(self, sounds: Sequence[Mono]) -> list[str]:
        """Give the word that each recording most likely says."""
        heard: list[str] = []
        for first in range(0, len(sounds), BATCH):
            x = np.stack([picture(sound) for sound in sounds[first : first + BATCH]])[..., None]
            for layer in self.layers:
                x = layer.forward(x, False)
            heard += [self.words[index] for index in x.argmax(axis=1)]
        return heard


def understood(judge: WordJudge, sounds: Sequence[Mono], said: Sequence[str]) -> float:
    """Share of the recordings in which the word that was said is heard; nan without one."""
    right = [heard == word for heard, word in zip(judge.hear(sounds), said, strict=True)]
    return float(np.mean(right)) if right else float("nan")


def picture(sound: Mono) -> Array:
    """Log-mel picture (100, 40) of the second in which most is said, of mean 0 and spread 1."""
    mel = analyse(sound).mel
    if len(mel) > LENGTH:
        total = np.concatenate([[0.0], np.cumsum(np.exp(mel).sum(axis=1))])
        first = int(np.argmax(total[LENGTH:] - total[:-LENGTH]))
        mel = mel[first : first + LENGTH]
    mel = np.maximum(mel, mel.max() - RANGE)
    return _standard(np.pad(mel, ((0, LENGTH - len(mel)), (0, 0)), constant_values=float(mel.min())))


def _standard(mel: Array | Floats) -> Array:
    return np.asarray((mel - mel.mean()) / (mel.std() + 1e-6), np.float32)


def _changed(each: Array, rng: np.random.Generator) -> Array:
    """The same word said by another throat at another pace, elsewhere in the second, in noise and another room."""
    tempo, shift = rng.uniform(0.8, 1.25), rng.uniform(-12, 12)
    warp, move = rng.uniform(0.9, 1.1), rng.uniform(-1.5, 1.5)
    time = (np.arange(LENGTH) - LENGTH / 2) * tempo + LENGTH / 2 + shift
    grid = np.stack(np.meshgrid(time, np.arange(MELS) * warp + move, indexing="ij"))
    moved = np.asarray(map_coordinates(each, grid, order=1, mode="nearest"), np.float64)
    changed = moved + np.linspace(-1, 1, MELS) * rng.normal(0, 0.2)
    floor = np.percentile(changed, rng.uniform(0, 40)) + rng.normal(0, 0.05, changed.shape)
    return _standard(np.maximum(changed, floor))


def _teach(layers: Sequence[Layer], seen: Array, truth: Indices, classes: int, rng: np.random.Generator) -> None:
    """Run through all pictures nine times."""
    adam, batch = Adam(layers, DECAY), min(BATCH, len(seen))
    steps = len(seen) // batch
    wanted = np.full((len(seen), classes), SMOOTH / classes, np.float32)
    wanted[np.arange(len(seen)), truth] += 1 - SMOOTH
    for epoch in range(EPOCHS):
        order = rng.permutation(len(seen))
        for step in range(steps):
            mine = order[step * batch : (step + 1) * batch]
            x = _hidden(seen[mine], rng)[..., None]
            learn(layers, x, wanted[mine])
            done = (epoch + step / steps) / EPOCHS
            adam.step(RATE * warmed(done))


def _hidden(pictures: Array, rng: np.random.Generator) -> Array:
    """Pictures with a strip of bands and one of time blanked (SpecAugment, Park et al., Interspeech 2019)."""
    blanked = pictures.copy()
    for each in blanked:
        band, time = rng.integers(0, MELS - 6), rng.integers(0, LENGTH - 12)
        each[:, band : band + rng.integers(0, 7)] = 0
        each[time : time + rng.integers(0, 13)] = 0
    return blanked
