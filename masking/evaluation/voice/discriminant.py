"""Learning from masked speech what tells people apart, and how likely two utterances are of one person."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from masking.evaluation.voice.types import Floats, Indices

SHRINKAGE = 0.3
KEPT = 60
VARIANCE_KEPT = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Discriminant:
    """Two-covariance model (Brümmer and de Villiers, Odyssey 2010) in the space of linear discriminants.

    In that space the variance within a person is 1 in each direction, and ``between`` (k,) that of the people.
    """

    mean: Floats
    scale: Floats
    projection: Floats
    between: Floats

    @classmethod
    def learn(cls, rows: Floats, person: Indices, shrinkage: float = SHRINKAGE, kept: int = KEPT) -> Self:
        """Learn from rows (n, d) of at least two people, some of whom have two rows or more."""
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 1e-6, 1 / np.maximum(scale, 1e-6), 0)
        standard = (rows - mean) * scale
        _, values, vectors = np.linalg.svd(standard, full_matrices=False)
        share = np.cumsum(values**2) / max(float(np.sum(values**2)), 1e-12)
        axes = vectors[: int(np.searchsorted(share, VARIANCE_KEPT)) + 1].T
        placed = standard @ axes
        people, owner, counts = np.unique(person, return_inverse=True, return_counts=True)
        centres = np.stack([placed[owner == index].mean(axis=0) for index in range(len(people))])
        residual = placed - centres[owner]
        within = residual.T @ residual / max(len(rows) - len(people), 1)
        within = (1 - shrinkage) * within + shrinkage * np.trace(within) / len(within) * np.eye(len(within))
        values, vectors = np.linalg.eigh(within)
        whiten = vectors / np.sqrt(np.maximum(values, 1e-12))
        white = (centres - np.average(centres, axis=0, weights=counts)) @ whiten
        noise = float(np.mean(1 / counts))
        _, spread, directions = np.linalg.svd(white, full_matrices=False)
        between = np.maximum(spread**2 / max(len(people) - 1, 1) - noise, 1e-3)
        best = min(kept, len(people) - 1)
        return cls(mean, scale, axes @ whiten @ directions[:best].T, between[:best])

    def place(self, rows: Floats) -> Floats:
        """Coordinates (n, k) of rows (n, d)."""
        return np.asarray((rows - self.mean) * self.scale @ self.projection)

    def likeness(self, probes: Floats, centres: Floats, counts: Floats) -> Floats:
        """Log likelihood ratio (n, m) that a placed probe is of the person whose ``counts`` utterances centre there."""
        between = self.between[None]
        told = counts[:, None] * between / (counts[:, None] * between + 1)
        expected, spread = told * centres, between * (1 - told) + 1
        apart = (
            (probes**2) @ (1 / spread).T
            - 2 * probes @ (expected / spread).T
            + np.sum(expected**2 / spread + np.log(spread), axis=1)[None]
        )
        alone = np.sum(probes**2 / (between + 1), axis=1) + np.sum(np.log(between + 1))
        return np.asarray(0.5 * (alone[:, None] - apart))


@dataclass(frozen=True, slots=True, eq=False)
class Angle:
    """Compares directions, and learns nothing: for descriptions that were made to be compared so."""

    @classmethod
    def learn(cls, rows: Floats, person: Indices) -> Self:
        """Look at nothing."""
        del rows, person
        return cls()

    def place(self, rows: Floats) -> Floats:
        """Give rows (n, d) the length 1."""
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))

    def likeness(self, probes: Floats, centres: Floats, counts: Floats) -> Floats:
        """Cosine (n, m) of each probe and each centre."""
        del counts
        return np.asarray(probes @ self.place(centres).T)
