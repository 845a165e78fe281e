"""What likenesses are worth: rank, equal error rate, and an interval that knows whose captures they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import Attacker, Evidence, Floats, Indices, Split
from masking.evaluation.detection import Rate, wilson


@dataclass(frozen=True, slots=True)
class AttackFigures:
    """What one attacker reached on one style.

    Attributes:
        attacker: its name.
        rank1: share of the probes whose person is the likeliest of the gallery; its 95 % interval holds for all
            attackers together that were tried, so that the strongest of them may be picked.
        rank5: share of the probes whose person is among the five likeliest.
        equal_error_rate: of verification, where as many wrong pairs are accepted as right ones refused; in [0, 1],
            .5 for a guess, lower for a better attacker.
    """

    attacker: str
    rank1: Rate
    rank5: float
    equal_error_rate: float


def attack(evidence: Evidence, splits: Sequence[Split], attackers: Mapping[str, Attacker]) -> tuple[AttackFigures, ...]:
    """Let every attacker try all splits."""
    return tuple(_figures(name, each, evidence, splits, len(attackers)) for name, each in attackers.items())


def strongest(attacks: Sequence[AttackFigures]) -> AttackFigures:
    """Give the attack that reached most, by rank 1 and then by error rate."""
    return max(attacks, key=lambda figures: (figures.rank1.value, -figures.equal_error_rate))


def _figures(name: str, attacker: Attacker, evidence: Evidence, splits: Sequence[Split], tried: int) -> AttackFigures:
    first, fifth, errors, owners = [], [], [], []
    for split in splits:
        # Rounded, so that what is equal but for the order of additions is a tie on every machine.
        likeness = np.round(attacker(evidence, split), 9)
        own = np.unique(split.person[split.gallery])[None, :] == split.person[split.probes][:, None]
        first.append(_within(likeness, own, 1))
        fifth.append(_within(likeness, own, 5))
        errors.append(_equal_error_rate(likeness[own], likeness[~own]))
        owners.append(split.person[split.probes])
    captures = len(np.unique(np.concatenate([split.probes for split in splits])))
    rank1 = _clustered(np.concatenate(first), np.concatenate(owners), captures, 1 - 0.05 / tried)
    return AttackFigures(name, rank1, float(np.concatenate(fifth).mean()), float(np.mean(errors)))


def _within(likeness: Floats, own: NDArray[np.bool_], rank: int) -> Floats:
    """For every probe the probability that its person is among the ``rank`` likeliest, ties in random order."""
    true = likeness[own][:, None]
    better = np.sum(likeness > true, axis=1)
    equal = np.sum(likeness == true, axis=1)
    share: Floats = np.clip((rank - better) / equal, 0, 1)
    return share


def _equal_error_rate(right: Floats, wrong: Floats) -> float:
    """Where the rates of wrong pairs accepted and right pairs refused cross, between thresholds interpolated."""
    thresholds = np.unique(np.concatenate([right, wrong]))
    refused = np.append(np.searchsorted(np.sort(right), thresholds, side="left") / len(right), 1.0)
    accepted = np.append(1 - np.searchsorted(np.sort(wrong), thresholds, side="left") / len(wrong), 0.0)
    after = int(np.argmax(refused >= accepted))
    gap_before, gap_after = (accepted - refused)[after - 1], (refused - accepted)[after]
    weight = gap_before / (gap_before + gap_after)
    return float(refused[after - 1] + weight * (refused[after] - refused[after - 1]))


def _clustered(hits: Floats, owner: Indices, captures: int, confidence: float) -> Rate:
    """Mean of the hits, with an interval that allows for what captures of one person have in common.

    Wilson's interval with the effective number of trials: the number of independent ones that would vary as much as
    the shares of the people do (Kish, "Survey Sampling", 1965; for such intervals Franco et al., JSSAM 7, 2019). It is
    at least the number of people and at most that of captures.
    """
    mean = float(hits.mean())
    trials = np.bincount(owner)
    trials = trials[trials > 0]
    people = len(trials)
    excess = np.bincount(owner, weights=hits - mean)[np.unique(owner)]
    variance = people / max(people - 1, 1) * float(np.sum(excess**2)) / float(trials.sum()) ** 2
    # Where all or none succeed the people's shares cannot vary, which says nothing: then the people are the trials.
    seen = 0 < mean < 1
    effective = np.clip(mean * (1 - mean) / max(variance, 1e-12), people, captures) if seen else people
    return wilson(mean * float(effective), float(effective), confidence=confidence)
