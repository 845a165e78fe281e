"""How far the likenesses of right pairs stand out from those of wrong ones, over all thresholds at once."""

import numpy as np

from masking.evaluation.voice.types import Floats

POINTS = 400


def linkability(right: Floats, wrong: Floats) -> float:
    """D_sys of Gomez-Barrero et al. (IEEE TIFS 13, 2018), with equal odds: 0 where no pair can be linked, 1 where all.

    Densities are those of Gaussian kernels of Silverman's width over the standardised scores.
    """
    if len(right) < 2 or len(wrong) < 2:
        return float("nan")
    everything = np.concatenate([right, wrong])
    middle, spread = everything.mean(), max(float(everything.std()), 1e-9)
    ours, others = (right - middle) / spread, (wrong - middle) / spread
    grid = np.linspace(min(ours.min(), others.min()) - 1, max(ours.max(), others.max()) + 1, POINTS)
    mated, strangers = _density(ours, grid), _density(others, grid)
    ratio = mated / np.maximum(strangers, 1e-12)
    local = np.where(ratio > 1, 2 * ratio / (1 + ratio) - 1, 0)
    return float(np.clip(np.sum(local * mated) / np.sum(mated), 0, 1))


def _density(scores: Floats, grid: Floats) -> Floats:
    width = max(1.06 * float(scores.std()) * len(scores) ** -0.2, 0.05)
    rows = scores[:: max(len(scores) // 4000, 1)]
    return np.asarray(np.exp(-0.5 * ((grid[:, None] - rows[None]) / width) ** 2).sum(axis=1) / (len(rows) * width))
