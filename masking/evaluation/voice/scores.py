"""What likenesses of voices are worth: error rates, ranks, and intervals that know whose utterances they are."""

from dataclasses import dataclass

import numpy as np

from masking.evaluation.voice.types import Choice, Floats, Indices


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """What an attacker says of every probe and every person.

    Attributes:
        likeness: (p, m) the greater, the likelier the probe is of the person; nan where he was not asked.
        owner: (p,) column of the person that each probe is truly of.
        peers: (m, m) whether two persons may be mistaken: of the same group.
    """

    likeness: Floats
    owner: Indices
    peers: Choice

    def right(self) -> tuple[Floats, Indices]:
        """Likenesses of the true pairs, and whose they are."""
        true = self.likeness[np.arange(len(self.owner)), self.owner]
        asked = np.isfinite(true)
        return true[asked], self.owner[asked]

    def wrong(self) -> tuple[Floats, Indices, Indices]:
        """Likenesses of the wrong pairs within a group, whose probe it is, and whom it was taken for."""
        pairs = self.peers[self.owner] & np.isfinite(self.likeness)
        pairs[np.arange(len(self.owner)), self.owner] = False
        probe, person = np.nonzero(pairs)
        return self.likeness[probe, person], self.owner[probe], person


def equal_error_rate(right: Floats, wrong: Floats, heavy: Floats | None = None, weigh: Floats | None = None) -> float:
    """Where as many wrong pairs are accepted as right ones refused, between thresholds interpolated; in [0, 1].

    ``heavy`` and ``weigh`` are how often each right and each wrong pair counts. nan where one kind is missing.
    """
    heavy = np.ones(len(right)) if heavy is None else heavy
    weigh = np.ones(len(wrong)) if weigh is None else weigh
    if heavy.sum() == 0 or weigh.sum() == 0:
        return float("nan")
    scores = np.concatenate([right, wrong])
    thresholds, place = np.unique(scores, return_inverse=True)
    size = len(thresholds)
    missed = np.bincount(place[: len(right)], heavy, size) / heavy.sum()
    passed = np.bincount(place[len(right) :], weigh, size) / weigh.sum()
    refused = np.concatenate([[0.0], np.cumsum(missed)])
    accepted = np.concatenate([[1.0], 1 - np.cumsum(passed)])
    after = int(np.argmax(refused >= accepted))
    before_gap, after_gap = (accepted - refused)[after - 1], (refused - accepted)[after]
    weight = before_gap / max(before_gap + after_gap, 1e-300)
    return float(refused[after - 1] + weight * (refused[after] - refused[after - 1]))


def error_rate(trials: Trials) -> float:
    """Equal error rate over all pairs of a group."""
    return equal_error_rate(trials.right()[0], trials.wrong()[0])


def error_interval(trials: Trials, draws: int = 400, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the equal error rate by drawing people with replacement (Bolle et al., CVPR 2004)."""
    right, owner = trials.right()
    wrong, probe, person = trials.wrong()
    people = len(trials.peers)
    rng = np.random.default_rng(seed)
    rates = []
    for _ in range(draws):
        drawn = np.bincount(rng.integers(people, size=people), minlength=people).astype(np.float64)
        rates.append(equal_error_rate(right, wrong, drawn[owner], drawn[probe] * drawn[person]))
    told = [rate for rate in rates if np.isfinite(rate)]
    low, high = np.percentile(told, (2.5, 97.5)) if told else (0.0, 1.0)
    return float(low), float(high)


def hits(likeness: Floats, owner: Indices) -> Floats:
    """For every probe the probability that its person is the likeliest of all, ties in random order."""
    true = likeness[np.arange(len(owner)), owner][:, None]
    better, equal = np.sum(likeness > true, axis=1), np.sum(likeness == true, axis=1)
    return np.where(better == 0, 1 / np.maximum(equal, 1), 0.0)


def true_positives(trials: Trials, false_positives: float = 0.01) -> float:
    """Share of the right pairs that are accepted where this share of the wrong ones is."""
    right, wrong = trials.right()[0], trials.wrong()[0]
    return (
        float(np.mean(right > np.quantile(wrong, 1 - false_positives))) if len(right) and len(wrong) else float("nan")
    )


def worst_person(trials: Trials) -> float:
    """Equal error rate of the person who is recognised best, right pairs of his against wrong pairs with his voice."""
    right, owner = trials.right()
    wrong, probe, person = trials.wrong()
    rates = [
        equal_error_rate(right[owner == each], wrong[(probe == each) | (person == each)]) for each in np.unique(owner)
    ]
    return float(np.nanmin(rates)) if rates else float("nan")
