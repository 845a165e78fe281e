"""How soon the guard rolls a release back that leaves more faces open, and how often one that does not: by simulation.

`python -m benchmarks.guard [--runs 200]`. Judged face-frames come in one by one and are looked at every ten of the
candidate's, with the bounds of `configs/base.yaml`. Faces are drawn independently of each other.
"""

import argparse
import sys
from typing import Final

import numpy as np

from mlops.rollout.guard import FAIL, Guards, Window, judge
from mlops.settings import load_settings

MOST: Final = 1500
"""Judged face-frames of the candidate at which a step is given up."""
EVERY: Final = 10
SHARES: Final = ((0.0, 0.05), (0.01, 0.06), (0.05, 0.1), (0.0, 0.0), (0.01, 0.01), (0.05, 0.05))
"""Share of face-frames that show: of the baseline's and of the candidate's."""
RATIOS: Final = (19, 4, 1)
"""Judged face-frames of the baseline for each of the candidate's."""


def main() -> None:
    """Print a line for each pair of shares and ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=200)
    runs = options.parse_args().runs
    guards, random = guards_of_faces(), np.random.default_rng(0)
    sys.stdout.write(
        "open (base, candidate)  judged (base : candidate)  rolled back  after judged: median  nine in ten\n"
    )
    for shares in SHARES:
        for ratio in RATIOS:
            ends = [rolled_back(random, shares, ratio, guards) for _ in range(runs)]
            at = [end for end in ends if end is not None]
            told = f"{np.median(at):>21.0f} {np.percentile(at, 90):>12.0f}" if at else f"{'-':>21} {'-':>12}"
            sys.stdout.write(f"{shares[0]:>9.0%} {shares[1]:>11.0%} {ratio:>21} : 1 {len(at) / runs:>14.1%} {told}\n")


def rolled_back(random: np.random.Generator, shares: tuple[float, float], ratio: int, guards: Guards) -> int | None:
    """Return at how many judged face-frames of the candidate a simulated step was rolled back; None for never."""
    base, own = (
        np.cumsum(random.random(MOST * times) < share) for share, times in zip(shares, (ratio, 1), strict=True)
    )
    for judged in range(EVERY, MOST + 1, EVERY):
        baseline = Window(judged=judged * ratio, open_found=int(base[judged * ratio - 1]))
        candidate = Window(judged=judged, open_found=int(own[judged - 1]))
        if judge(baseline, candidate, guards).outcome == FAIL:
            return judged
    return None


def guards_of_faces() -> Guards:
    """Return the bounds of the settings."""
    rollout = load_settings(environ={}).rollout
    return Guards(
        rollout.guard_error_increase,
        rollout.guard_latency_ratio,
        rollout.guard_latency_quantile,
        rollout.guard_open_increase,
        rollout.guard_detection_drop,
        rollout.guard_utility_drop,
        rollout.step_requests,
        rollout.guard_minimum_judged,
        rollout.guard_significance,
        rollout.guard_open_significance,
    )


if __name__ == "__main__":
    main()
