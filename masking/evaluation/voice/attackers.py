"""Attackers who learn from masked speech of other people whose voice an utterance hides, and join what they find.

Two ways of learning are tried. *Apart*: from the speech of people of whom none is sought. *Across*: the people who are
sought are dealt into folds, and those of one fold are attacked by who also learned from the others, so that nobody is
known beforehand and yet nearly all speech at hand is learned from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from masking.evaluation.voice.discriminant import Angle, Discriminant
from masking.evaluation.voice.scores import Trials
from masking.evaluation.voice.types import Choice, Floats, Indices

MOST_FOLDS = 5
FUSION = "fusion"

Evidence = Mapping[str, Floats]
"""All utterances as an attacker describes them: for each kind of description (n, d), row i for utterance i.

A kind whose name ends in `AS_IT_IS` is compared by its cosine, without learning anything.
"""
AS_IT_IS = " as it is"


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """Who plays which part.

    Attributes:
        person: (n,) number of the person in each utterance, from 0.
        group: (m,) group of each person; only people of one group are mistaken for each other.
        sought: (m,) whether the person is sought; the others are who attackers learn from.
        gallery: (n,) whether the utterance has the name on it when its person is sought.
        probe: (n,) whether it is one to be named.
    """

    person: Indices
    group: Indices
    sought: Choice
    gallery: Choice
    probe: Choice

    @property
    def peers(self) -> Choice:
        """Whether two people (m, m) may be mistaken for each other."""
        return np.asarray(self.group[:, None] == self.group[None, :])

    def folds(self, among: Choice) -> Iterator[Choice]:
        """Deal the people ``among`` all into folds, each with its share of each group and of the sought."""
        people = np.flatnonzero(among)
        dealt = people[np.lexsort((people, self.sought[people], self.group[people]))]
        _, fewest = np.unique(np.stack([self.group[people], self.sought[people]]), axis=1, return_counts=True)
        # Two people of a role and group in each fold, or there would be nobody to mistake one for.
        folds = int(np.clip(fewest.min() // 2, 2, MOST_FOLDS))
        for fold in range(folds):
            members = np.zeros(len(self.group), np.bool_)
            members[dealt[fold::folds]] = True
            yield members


def apart(evidence: Evidence, cast: Cast) -> dict[str, Trials]:
    """Learn from the people who are not sought alone; gives the trials of the sought for each kind and their fusion."""
    practice = _dealt(evidence, cast, ~cast.sought)
    trials = {kind: _tried(kind, rows, cast, ~cast.sought, cast.sought) for kind, rows in evidence.items()}
    return _with_fusion(trials, _weights(practice, cast, ~cast.sought), cast)


def across(evidence: Evidence, cast: Cast) -> dict[str, Trials]:
    """Learn from everybody but a fifth of the people, and attack those; then the next fifth."""
    everyone = np.ones(len(cast.group), np.bool_)
    dealt = _dealt(evidence, cast, everyone)
    if len(dealt) > 1:
        fused = np.full_like(next(iter(dealt.values())).likeness, np.nan)
        for fold in cast.folds(everyone):
            weights = _weights(dealt, cast, ~fold)
            rows = fold[next(iter(dealt.values())).owner]
            fused[rows] = _join(dealt, weights)[rows]
        dealt = {**dealt, FUSION: Trials(fused, next(iter(dealt.values())).owner, cast.peers)}
    return {kind: _only(trials, cast.sought) for kind, trials in dealt.items()}


def _tried(kind: str, rows: Floats, cast: Cast, known: Choice, asked: Choice) -> Trials:
    """Learn from the ``known`` people, and compare probes and galleries of the ``asked``; all other pairs are nan."""
    learn = Angle.learn if kind.endswith(AS_IT_IS) else Discriminant.learn
    learned = learn(rows[known[cast.person]], cast.person[known[cast.person]])
    placed = learned.place(rows)
    people = np.flatnonzero(asked)
    named = [placed[cast.gallery & (cast.person == person)] for person in people]
    centres = np.stack([each.mean(axis=0) for each in named])
    probes = np.flatnonzero(cast.probe & asked[cast.person])
    likeness = np.full((int(cast.probe.sum()), len(asked)), np.nan)
    order = np.cumsum(cast.probe) - 1
    counts = np.array([len(each) for each in named], np.float64)
    # Rounded, so that what is equal but for the order of additions is a tie on every machine.
    found = np.round(learned.likeness(placed[probes], centres, counts), 9)
    likeness[np.ix_(order[probes], people)] = found
    return Trials(likeness, cast.person[cast.probe], cast.peers)


def _dealt(evidence: Evidence, cast: Cast, among: Choice) -> dict[str, Trials]:
    """The trials of everybody ``among`` all, each person tried by who learned from the other folds."""
    dealt = {}
    for kind, rows in evidence.items():
        parts = [_tried(kind, rows, cast, among & ~fold, fold) for fold in cast.folds(among)]
        likeness = np.full_like(parts[0].likeness, np.nan)
        for part in parts:
            likeness = np.where(np.isfinite(part.likeness), part.likeness, likeness)
        dealt[kind] = Trials(likeness, parts[0].owner, cast.peers)
    return dealt


def _weights(trials: Mapping[str, Trials], cast: Cast, among: Choice) -> Floats:
    """Weights of the kinds and a constant, by logistic regression on the trials of the people ``among`` all.

    Right and wrong pairs count alike in sum (Brümmer and du Preez, Computer Speech & Language 20, 2006).
    """
    first = next(iter(trials.values()))
    rows = among[first.owner][:, None] & among[None, :] & cast.peers[first.owner]
    scores = np.stack([each.likeness for each in trials.values()], axis=2)
    rows &= np.isfinite(scores).all(axis=2)
    probe, person = np.nonzero(rows)
    right = first.owner[probe] == person
    return _logistic(scores[probe, person], right)


def _logistic(scores: Floats, right: Choice, penalty: float = 0.01, rounds: int = 30) -> Floats:
    scale = scores.std(axis=0) + 1e-9
    design = np.concatenate([scores / scale, np.ones((len(scores), 1))], axis=1)
    share = np.where(right, 0.5 / max(right.sum(), 1), 0.5 / max((~right).sum(), 1))
    weights = np.zeros(design.shape[1])
    for _ in range(rounds):
        told = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (share * (told - right)) + penalty * weights
        bend = (design * (share * told * (1 - told))[:, None]).T @ design + penalty * np.eye(len(weights))
        weights = weights - np.linalg.solve(bend, slope)
    weights[:-1] /= scale
    # A kind that seems to speak against its own likeness has been misled by chance, and is left out.
    weights[:-1] = np.maximum(weights[:-1], 0)
    return weights


def _join(trials: Mapping[str, Trials], weights: Floats) -> Floats:
    scores = np.stack([each.likeness for each in trials.values()], axis=2)
    return np.asarray(scores @ weights[:-1] + weights[-1])


def _with_fusion(trials: Mapping[str, Trials], weights: Floats, cast: Cast) -> dict[str, Trials]:
    found = {kind: _only(each, cast.sought) for kind, each in trials.items()}
    if len(trials) > 1:
        owner = next(iter(trials.values())).owner
        found[FUSION] = _only(Trials(_join(trials, weights), owner, cast.peers), cast.sought)
    return found


def _only(trials: Trials, people: Choice) -> Trials:
    """The trials of these people alone, numbered anew."""
    number = np.cumsum(people) - 1
    rows = people[trials.owner]
    likeness = trials.likeness[rows][:, people]
    return Trials(likeness, number[trials.owner[rows]], trials.peers[np.ix_(people, people)])
