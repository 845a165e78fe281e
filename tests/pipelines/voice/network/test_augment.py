"""Augmented frames are another voice in another room, and still frames; batches hold who may be seen, alone."""

from collections.abc import Callable

import numpy as np
import pytest

from pipelines.voice.network.augment import LOWEST, augmented
from pipelines.voice.network.batches import Batches
from pipelines.voice.network.frames import Frames
from pipelines.voice.network.targets import targets_of

People = Callable[..., Frames]


def test_frames_stay_frames_and_the_same_seed_gives_the_same() -> None:
    mel = np.random.default_rng(0).normal(-4, 1, (8, 50, 80)).astype(np.float32)
    before = mel.copy()
    first, again, other = (augmented(mel, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(mel, before)
    assert first.shape == mel.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.min() >= np.float32(LOWEST)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first - mel).mean(axis=(1, 2)).min() > 0.05, "no stretch stays as it was"


@pytest.mark.parametrize("window", [32, 200, 500])
def test_a_batch_is_cut_from_those_who_may_be_seen(people: People, window: int) -> None:
    frames = people([1.0, 1.0, 1.0], held={2})
    seen = frames.mel.copy()
    frames.classes[frames.ends[3] :][frames.classes[frames.ends[3] :] > 0] = 117
    targets = targets_of(frames)
    drawn = [Batches(frames, targets, 8, window, seed).draw() for seed in (0, 0, 1)]
    assert np.array_equal(frames.mel, seen)
    assert np.array_equal(drawn[0].mel, drawn[1].mel)
    assert not np.array_equal(drawn[0].mel, drawn[2].mel)
    for batch in drawn:
        assert batch.mel.shape == batch.envelope.shape == (8, window, 80)
        assert (batch.classes != 117).all(), "that is a class of who is held aside"
        known = (batch.classes >= 0).sum(axis=1)
        assert (known == min(window, 112)).all(), "all of a recording is taken, or as much as the window holds"


def test_classes_envelopes_and_voicing_belong_together(people: People) -> None:
    frames = people([1.0, 1.0])
    targets = targets_of(frames)
    batch = Batches(frames, targets, 4, 150, 0).draw()
    known = batch.classes >= 0
    assert np.array_equal(batch.voiced[known] > 0, batch.classes[known] % 2 == 1)
    rows = targets.envelope[frames.classes == 8]
    assert np.abs(batch.envelope[batch.classes == 8].mean(axis=0) - rows.mean(axis=0)).max() < 0.3
    assert not batch.envelope[~known].any()
