"""Frames of invented people: all say the same phones, each with a tract, a microphone and a level of their own."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from masking.voice.mel import centres
from masking.voice.types import BANDS
from pipelines.voice.network.frames import Frames, Heard
from pipelines.voice.network.phones import CLASSES

USED = np.arange(1, CLASSES, 7)
LONG = 6


def spectra(tract: float) -> NDArray[np.float64]:
    """Spectra of the classes in `USED`: two formants each, moved by the tract."""
    places = np.linspace(0, 1, len(USED))
    first, second = 300 + 500 * places, 2300 - 1200 * np.roll(places, 5)
    hertz = centres()[:, None] / tract
    peaks = np.exp(-(((hertz - first) / 150) ** 2)) + np.exp(-(((hertz - second) / 250) ** 2))
    return np.asarray(3 * peaks.T - 4)


def person(tract: float, number: int, count: int = 2) -> list[Heard]:
    rng = np.random.default_rng(number)
    colour = np.linspace(-1, 1, BANDS) * rng.normal()
    said = []
    for _ in range(count):
        order = rng.permutation(len(USED))
        classes = np.concatenate([np.repeat(USED[order], LONG), np.zeros(10, np.int64)]).astype(np.int16)
        rows = np.concatenate([np.repeat(spectra(tract)[order], LONG, axis=0), np.full((10, BANDS), -7.0)])
        mel = (rows + colour + rng.normal() + rng.normal(0, 0.05, rows.shape)).astype(np.float32)
        said.append(Heard(mel, mel.astype(np.float16), classes % 2 == 1, classes))
    return said


def people(tracts: list[float], held: set[int] | None = None) -> Frames:
    heard = [(each, owner) for owner, tract in enumerate(tracts) for each in person(tract, owner)]
    flags = [owner in (held or set()) for owner in range(len(tracts))]
    return Frames.joined([each for each, _ in heard], [owner for _, owner in heard], flags)


@pytest.fixture(name="people", scope="session")
def people_fixture() -> Callable[..., Frames]:
    return people


@pytest.fixture(name="spectra", scope="session")
def spectra_fixture() -> Callable[[float], NDArray[np.float64]]:
    return spectra
