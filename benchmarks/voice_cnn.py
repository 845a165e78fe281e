"""A larger judge of words than ours, in PyTorch where it is installed: four layers of two-dimensional convolutions.

It learns clean words alone: each as it was said, and five times at another pace, elsewhere in the second, in noise.
"""

import importlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy.signal import resample

from masking.evaluation.voice.network import Array
from masking.evaluation.voice.spectra import analyse
from masking.evaluation.voice.types import Indices
from masking.voice.types import RATE, Mono

Judge = Callable[[Sequence[Mono]], float]

CHANNELS: Final = (24, 48, 64, 96)
FRAMES: Final = 100
RANGE: Final = 12.0
COPIES: Final = 5
EPOCHS: Final = 14
BATCH: Final = 64
HIGHEST_RATE: Final = 4e-3
SEED: Final = 0


def convolutions(lessons: Sequence[Mono], taught: Sequence[str], said: Sequence[str]) -> Judge | None:
    """Teach it, and give the share of the words that it understands of those there are; None without PyTorch.

    Args:
        lessons: Clean recordings of single words, at 16 kHz.
        taught: The word of each.
        said: The words of the recordings that it will be asked for.
    """
    if find_spec("torch") is None:
        return None
    words = sorted(set(taught))
    net = _Network(len(words))
    net.teach(_lessons(lessons), np.tile(np.array([words.index(word) for word in taught], np.intp), COPIES + 1))
    truth = np.array([words.index(word) for word in said])
    return lambda sounds: float(np.mean(net.hear(np.stack([picture(second(sound)) for sound in sounds])) == truth))


def second(sound: Mono) -> Mono:
    """Cut or fill up to a second."""
    return np.asarray(np.pad(sound[:RATE], (0, max(RATE - len(sound), 0))), np.float32)


def picture(sound: Mono) -> Array:
    """Log-mel picture (1, 100, 40) of a second, of mean 0 and spread 1."""
    mel = analyse(sound).mel[:FRAMES]
    mel = np.maximum(mel, mel.max() - RANGE)
    return np.asarray((mel - mel.mean()) / (mel.std() + 1e-6), np.float32)[None]


def _changed(sound: Mono, rng: np.random.Generator) -> Mono:
    if rng.random() < 0.6:
        paced = np.asarray(resample(sound, int(RATE * rng.uniform(0.82, 1.22))), np.float32)
        sound = second(paced[max(len(paced) - RATE, 0) // 2 :])
    moved = np.roll(sound, rng.integers(-RATE // 10, RATE // 10))
    noise = rng.normal(size=RATE) * np.abs(moved).max() * 10 ** rng.uniform(-4, -1.5)
    return np.asarray(moved + noise, np.float32)


def _lessons(sounds: Sequence[Mono]) -> Array:
    rng, whole = np.random.default_rng(SEED), [second(sound) for sound in sounds]
    made = [picture(sound) for sound in whole]
    return np.stack([*made, *(picture(_changed(sound, rng)) for _ in range(COPIES) for sound in whole)])


class _Network:
    """The layers, and what of PyTorch teaches them."""

    def __init__(self, words: int) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(1)
        self._torch.manual_seed(SEED)
        nn, layers = self._torch.nn, list[Any]()
        for before, after in pairwise((1, *CHANNELS)):
            layers += [nn.MaxPool2d(2)] if layers else []
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        head = [nn.AdaptiveAvgPool2d((1, 3)), nn.Flatten(), nn.Dropout(0.4), nn.Linear(CHANNELS[-1] * 3, words)]
        self._net: Any = nn.Sequential(*layers, *head)

    def teach(self, seen: Array, truth: Indices) -> None:
        """Run through all pictures so many times."""
        torch, net = self._torch, self._net
        rng, batch = np.random.default_rng(SEED), min(BATCH, len(seen))
        steps = len(seen) // batch
        optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, HIGHEST_RATE, total_steps=EPOCHS * steps)
        loss = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        net.train()
        for _ in range(EPOCHS):
            order = rng.permutation(len(seen))
            for step in range(steps):
                mine = order[step * batch : (step + 1) * batch]
                optimiser.zero_grad()
                loss(net(torch.from_numpy(_hidden(seen[mine], rng))), torch.from_numpy(truth[mine])).backward()
                optimiser.step()
                schedule.step()
        net.eval()

    def hear(self, seen: Array) -> Indices:
        """Give the likeliest word of each picture."""
        with self._torch.no_grad():
            return np.asarray(self._net(self._torch.from_numpy(seen)).argmax(1).numpy(), np.intp)


def _hidden(pictures: Array, rng: np.random.Generator) -> Array:
    """Pictures with a strip of bands and one of time blanked (SpecAugment, Park et al., Interspeech 2019)."""
    blanked = pictures.copy()
    for each in blanked:
        band, time = rng.integers(0, 34), rng.integers(0, 90)
        each[:, :, band : band + rng.integers(0, 7)] = 0
        each[:, time : time + rng.integers(0, 14)] = 0
    return blanked
