"""An attacker's own network: taught to name the people he knows by their masked speech, it describes all others too.

What the network knows of an utterance before it chooses is the description (x-vectors: Snyder et al., ICASSP 2018).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from masking.evaluation.voice.network import Adam, Array, Layer, learn, network, warmed
from masking.evaluation.voice.spectra import MELS, Frames
from masking.evaluation.voice.types import Choice, Floats, Indices

LENGTH: Final = 100
EPOCHS: Final = 24
CROPS: Final = 2
BATCH: Final = 64
RATE: Final = 4e-3
DECAY: Final = 2e-2
SMOOTH: Final = 0.1
STRIDE: Final = 50


def encode(frames: Sequence[Frames], person: Indices, known: Choice, seed: int = 0) -> Floats:
    """Teach a network with the known utterances, and describe all by it: (n, 320).

    Args:
        frames: masked utterances.
        person: (n,) who speaks; looked at where ``known`` alone.
        known: (n,) utterances of people whom the attacker knows.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    pictures = [_picture(each) for each in frames]
    people, number = np.unique(person[known], return_inverse=True)
    layers = network((LENGTH, MELS), len(people), rng)
    _teach(layers, [pictures[index] for index in np.flatnonzero(known)], number, len(people), rng)
    return np.stack([_described(layers, each) for each in pictures])


def _picture(frames: Frames) -> Array:
    """Log-mel rows (t, 40) of what is loud enough to be speech, of mean 0 and spread 1; at least a second of them."""
    mel = np.maximum(frames.mel, frames.mel.max() - 12.0)
    mel = (mel - mel.mean()) / (mel.std() + 1e-6)
    return np.asarray(np.resize(mel, (max(len(mel), LENGTH), MELS)), np.float32)


def _teach(
    layers: Sequence[Layer], pictures: Sequence[Array], number: Indices, people: int, rng: np.random.Generator
) -> None:
    adam = Adam(layers, DECAY)
    wanted = np.full((len(pictures), people), SMOOTH / people, np.float32)
    wanted[np.arange(len(pictures)), number] += 1 - SMOOTH
    for epoch in range(EPOCHS):
        order = np.concatenate([rng.permutation(len(pictures)) for _ in range(CROPS)])
        batches = np.array_split(order, max(len(order) // BATCH, 1))
        for step, mine in enumerate(batches):
            learn(layers, np.stack([_crop(pictures[index], rng) for index in mine])[..., None], wanted[mine])
            adam.step(RATE * warmed((epoch + step / len(batches)) / EPOCHS))


def _crop(picture: Array, rng: np.random.Generator) -> Array:
    """A second from anywhere, with a strip of bands blanked (SpecAugment, Park et al., Interspeech 2019)."""
    first = int(rng.integers(len(picture) - LENGTH + 1))
    crop = picture[first : first + LENGTH].copy()
    band = int(rng.integers(MELS - 6))
    crop[:, band : band + int(rng.integers(7))] = 0
    return crop


def _described(layers: Sequence[Layer], picture: Array) -> Floats:
    starts = range(0, len(picture) - LENGTH + 1, STRIDE)
    x = np.stack([picture[first : first + LENGTH] for first in starts])[..., None]
    for layer in layers[:-1]:
        x = layer.forward(x, False)
    return np.asarray(x.mean(axis=(0, 1)).ravel(), np.float64)
