"""What the decoder is to say: the same for everybody, whoever said it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.voice.network.frames import Frames
from pipelines.voice.network.phones import SILENCE, UNKNOWN
from pipelines.voice.network.targets import GRID, HIGHEST, HUSH, LOWEST, targets_of, warp

People = Callable[..., Frames]
TRACTS = [0.9, 0.95, 1.0, 1.05, 1.1]


def test_a_warp_moves_a_formant(spectra: Callable[[float], np.ndarray]) -> None:
    for factor in (0.9, 1.1):
        moved = spectra(1.0) @ warp(factor)
        off, was_off = (np.abs(each - spectra(factor))[:, :65].mean() for each in (moved, spectra(1.0)))
        assert off < 0.25 * was_off
    assert np.allclose(warp(1.0), np.eye(80), atol=1e-6)


@given(st.sampled_from(GRID))
def test_a_warp_keeps_what_is_flat(factor: float) -> None:
    assert np.allclose(np.ones((1, 80)) @ warp(factor), 1, atol=1e-5)


def test_longer_tracts_are_warped_up_and_shorter_ones_down(people: People) -> None:
    found = targets_of(people(TRACTS)).warps
    assert list(found) == sorted(found, reverse=True)
    assert np.mean(found) == pytest.approx(1, abs=0.02)
    assert [found[i] * TRACTS[i] for i in range(5)] == pytest.approx([1.0] * 5, abs=0.04)


def test_everybody_says_a_phone_alike(people: People) -> None:
    frames = people(TRACTS)
    targets = targets_of(frames)
    owners = np.repeat(frames.owners, np.diff(frames.ends, prepend=0))

    def spread(rows: np.ndarray) -> float:
        means = [[rows[(owners == owner) & (frames.classes == 8)].mean(axis=0)] for owner in range(5)]
        return float(np.std(means, axis=0)[:, :65].mean())

    assert spread(targets.envelope) < 0.2 * spread(frames.envelope.astype(np.float32))


def test_the_average_counts_speakers_and_is_what_targets_lie_about(people: People) -> None:
    frames = people(TRACTS)
    targets = targets_of(frames)
    speech = frames.classes > 0
    assert np.allclose(targets.envelope[speech].mean(axis=0), targets.average, atol=0.05)
    assert targets.average.shape == (80,)
    assert targets.average.mean() == pytest.approx(0, abs=0.05), "level is no part of it"
    assert targets.envelope.min() >= LOWEST
    assert targets.envelope.max() <= HIGHEST


def test_who_is_held_aside_changes_nothing(people: People) -> None:
    frames, fewer = people([*TRACTS, 1.16], held={5}), people(TRACTS)
    targets, expected = targets_of(frames), targets_of(fewer)
    count = len(fewer.classes)
    assert np.array_equal(targets.envelope[:count], expected.envelope)
    assert not targets.envelope[count:].any()
    assert targets.warps == (*expected.warps, 1.0)


def test_silence_alone_is_an_error(people: People) -> None:
    frames = people([1.0, 1.0])
    frames.classes[:] = 0
    with pytest.raises(ValueError, match="nobody speaks"):
        targets_of(frames)


def test_silence_is_said_softer_than_it_was(people: People) -> None:
    frames = people([1.0, 1.0])
    silent = frames.classes == SILENCE
    unlabelled = replace(frames, classes=np.where(silent, UNKNOWN, frames.classes).astype(np.int16))

    softer = targets_of(unlabelled).envelope - targets_of(frames).envelope

    assert softer[silent] == pytest.approx(HUSH)
    assert softer[~silent] == pytest.approx(0)
