"""What the simulation of the guard is made of."""

import numpy as np

from benchmarks.guard import guards_of_faces, rolled_back
from mlops.settings import load_settings


def test_it_has_the_bounds_of_the_settings() -> None:
    guards, rollout = guards_of_faces(), load_settings(environ={}).rollout
    assert guards.open_significance == rollout.guard_open_significance
    assert (guards.minimum, guards.minimum_judged) == (rollout.step_requests, rollout.guard_minimum_judged)


def test_more_open_faces_are_rolled_back_and_none_are_not() -> None:
    guards, random = guards_of_faces(), np.random.default_rng(1)
    ends = [rolled_back(random, (0.0, 0.2), 4, guards) for _ in range(5)]
    assert all(end is not None and end <= 100 for end in ends)
    assert rolled_back(random, (0.0, 0.0), 1, guards) is None
