from itertools import pairwise

import numpy as np
import pytest

from masking.face.procedural import Identity
from masking.face.procedural.clip import Moment, clip

SIZE, FRAMES = (160, 120), 8


def film(seed: int) -> list[Moment]:
    rng = np.random.default_rng(seed)
    return list(clip(rng, [Identity.draw(rng) for _ in range(3)], size=SIZE, shots=2, frames=FRAMES))


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    return film(1)


def test_a_clip_repeats_from_its_seed(moments: list[Moment]) -> None:
    again = film(1)
    assert len(again) == 2 * FRAMES
    for one, other in zip(moments, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_faces_walk_within_a_shot_and_are_new_people_after_the_cut(moments: list[Moment]) -> None:
    assert sum(len(moment.owners) for moment in moments) > FRAMES
    for one, other in pairwise(moments[:FRAMES]):
        for owner in set(one.owners.tolist()) & set(other.owners.tolist()):
            step = other.boxes[other.owners == owner] - one.boxes[one.owners == owner]
            assert 0 < np.abs(step).max() < 40
    first = {owner for moment in moments[:FRAMES] for owner in moment.owners.tolist()}
    assert not first & {owner for moment in moments[FRAMES:] for owner in moment.owners.tolist()}


def test_a_cut_changes_more_than_any_step(moments: list[Moment]) -> None:
    change = [float(np.abs(one.pixels.astype(int) - other.pixels).mean()) for one, other in pairwise(moments)]
    assert int(np.argmax(change)) == FRAMES - 1
    assert change[FRAMES - 1] > 2 * np.median(change)


def test_people_who_are_outside_are_no_faces() -> None:
    for seed in range(6):
        for moment in film(seed):
            middle = (moment.boxes[:, :2] + moment.boxes[:, 2:]) / 2
            assert ((middle >= 0) & (middle <= np.array(SIZE))).all()
