"""How an utterance departs from everyone: means of a Gaussian mixture adapted to it (Reynolds et al., DSP 10, 2000)."""

from dataclasses import dataclass

import numpy as np

from masking.evaluation.voice.spectra import Frames, slopes
from masking.evaluation.voice.types import Floats

COMPONENTS = 64
ROUNDS = 12
RELEVANCE = 6.0
CEPSTRA_USED = 20
FRAMES_USED = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Weights (k,), means (k, d) and variances (k, d) of Gaussians with axes of their own."""

    weights: Floats
    means: Floats
    variances: Floats

    def shares(self, rows: Floats) -> Floats:
        """Posterior share (n, k) of each component in each row (n, d)."""
        precision = 1 / self.variances
        exponent = (rows**2) @ precision.T - 2 * rows @ (self.means * precision).T
        level = np.log(self.weights) - 0.5 * np.sum(np.log(self.variances) + self.means**2 * precision, axis=1)
        likelihood = level - 0.5 * exponent
        likelihood -= likelihood.max(axis=1, keepdims=True)
        shares: Floats = np.exp(likelihood)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares


def spoken(frames: Frames) -> Floats:
    """Rows (n, 40) of the speech of an utterance: 20 cepstra and their slopes."""
    cepstra = frames.cepstra[:, :CEPSTRA_USED]
    return np.concatenate([cepstra, 2 * slopes(cepstra)], axis=1)[frames.speech]


def learn(rows: Floats, seed: int = 0) -> Mixture:
    """Fit a mixture to rows (n, d) by expectation and maximisation from a few rounds of k-means."""
    rng = np.random.default_rng(seed)
    rows = rows[rng.permutation(len(rows))[:FRAMES_USED]]
    means = rows[: min(COMPONENTS, len(rows))].copy()
    spread = rows.var(axis=0) + 1e-6
    mixture = Mixture(np.full(len(means), 1 / len(means)), means, np.repeat(spread[None], len(means), axis=0))
    for _ in range(ROUNDS):
        shares = mixture.shares(rows)
        counts = shares.sum(axis=0) + 1e-3
        means = shares.T @ rows / counts[:, None]
        variances = shares.T @ rows**2 / counts[:, None] - means**2
        mixture = Mixture(counts / counts.sum(), means, np.maximum(variances, 0.02 * spread))
    return mixture


def departure(mixture: Mixture, rows: Floats) -> Floats:
    """Adapted means relative to the mixture's, in units in which distances are divergences: (k * d + k,).

    Campbell, Sturim and Reynolds, "Support vector machines using GMM supervectors", 2006; the last k numbers say how
    often each component was visited.
    """
    shares = mixture.shares(rows)
    counts = shares.sum(axis=0)
    means = shares.T @ rows / np.maximum(counts, 1e-6)[:, None]
    trust = counts / (counts + RELEVANCE)
    moved = trust[:, None] * (means - mixture.means) * np.sqrt(mixture.weights[:, None] / mixture.variances)
    visits = np.sqrt(counts / max(counts.sum(), 1e-6)) - np.sqrt(mixture.weights)
    return np.concatenate([moved.ravel(), visits])
