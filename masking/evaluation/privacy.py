"""The judge of privacy: can an attacker who masks his own photos the same way still tell people apart?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import ATTACKERS, Evidence, Floats, Image, Indices, Split, examine
from masking.evaluation.detection import Rate, wilson

WELL_ABOVE_CHANCE = 2.0


@dataclass(frozen=True, slots=True)
class AttackFigures:
    """What one attacker reached on one style.

    Attributes:
        attacker: name in ``ATTACKERS``.
        rank1: share of the probes whose person is the likeliest of the gallery; its 95 % interval holds for all
            attackers of a style together, so that the strongest of them may be picked.
        rank5: share of the probes whose person is among the five likeliest.
        equal_error_rate: of verification, where as many wrong pairs are accepted as right ones refused; in [0, 1],
            .5 for a guess, lower for a better attacker.
    """

    attacker: str
    rank1: Rate
    rank5: float
    equal_error_rate: float


@dataclass(frozen=True, slots=True)
class StyleFigures:
    """What all attackers reached on one style; the strongest, by rank 1 and then by error rate, is what counts."""

    strongest: AttackFigures
    attacks: tuple[AttackFigures, ...]


@dataclass(frozen=True, slots=True)
class PrivacyFigures:
    """What the attackers reached on unmasked and on masked captures of the same people.

    Attributes:
        people: people in the data, each of them background in some trials and sought in others.
        captures: captures in the data.
        enrolled: people in the gallery of one trial.
        chance: rank-1 share of a guess, 1 / enrolled.
        floor: rank-1 share that the judge had to reach on unmasked captures.
        unmasked: the judge's own examination.
        styles: figures by style of mask.
        valid: whether the judge passed; if not, the figures of the styles prove nothing, however low.
        reason: why the judge did not pass, else empty.
    """

    people: int
    captures: int
    enrolled: int
    chance: float
    floor: float
    unmasked: StyleFigures
    styles: Mapping[str, StyleFigures]
    valid: bool
    reason: str


def judge(
    crops: Sequence[Image],
    identities: Sequence[str],
    landmarks: NDArray[np.float32],
    masked: Mapping[str, Sequence[Image]],
    *,
    floor: float = 0.5,
    background: float = 0.4,
    trials: int = 10,
    seed: int = 0,
) -> PrivacyFigures:
    """Let every attacker try to name the people in unmasked and in masked captures.

    In each of ``trials`` draws a share of the people becomes the background that the attackers learn from; of every
    other person half of the captures become the named gallery and half the probes. All three are masked alike (the
    "parrot" attack of Newton, Sweeney and Malin, TKDE 17, 2005), and aligned by the true landmarks even where the
    mask hides them: the worst case. What the crops show around the mask is used, so clothes and scene count; cut
    the crops so that their framing and background say nothing of the person, or expect to see it in every style.

    The judge is valid only if the strongest attacker reaches ``floor`` on the unmasked captures, with the lower
    bound of the interval at twice chance or more.

    Args:
        crops: unmasked captures, each (h, w, 3); the order of channels does not matter.
        identities: who is in each capture; at least 4 people with at least 2 captures each.
        landmarks: (n, 5, 2) in pixels of the crops, of the same places in the masked ones.
        masked: for each style the same captures, masked.
        floor: rank-1 share in (0, 1] that the judge must reach without a mask.
        background: share of the people who are background, in (0, 1).
        trials: draws over which the figures are averaged.
        seed: of the draws; equal arguments give equal figures.

    Raises:
        ValueError: the sequences differ in length or the crops in shape, people or captures are too few, or a number
            is out of range.
    """
    names, person = np.unique(np.asarray(identities), return_inverse=True)
    known = round(len(names) * background)
    _check(crops, landmarks, masked, person, known, floor, trials)
    splits = list(_draw(person, known, trials, seed))
    unmasked = _attack(examine(crops, landmarks), splits)
    chance = 1 / (len(names) - known)
    reason = _doubt(unmasked.strongest.rank1, floor, chance)
    return PrivacyFigures(
        people=len(names),
        captures=len(crops),
        enrolled=len(names) - known,
        chance=chance,
        floor=floor,
        unmasked=unmasked,
        styles={style: _attack(examine(images, landmarks), splits) for style, images in masked.items()},
        valid=not reason,
        reason=reason,
    )


def _check(
    crops: Sequence[Image],
    landmarks: NDArray[np.float32],
    masked: Mapping[str, Sequence[Image]],
    person: Indices,
    known: int,
    floor: float,
    trials: int,
) -> None:
    lengths = {len(crops), len(person), *(len(images) for images in masked.values())}
    if lengths != {len(person)} or landmarks.shape != (len(person), 5, 2):
        raise ValueError(f"{len(person)} identities do not fit crops of {sorted(lengths)}, landmarks {landmarks.shape}")
    shapes = [crop.shape for crop in crops]
    if any(len(shape) != 3 or shape[2] != 3 for shape in shapes):
        raise ValueError("crops need three channels")
    if any([image.shape for image in images] != shapes for images in masked.values()):
        raise ValueError("masked crops must have the shapes of the unmasked ones")
    captures = np.bincount(person)
    if not 2 <= known <= len(captures) - 2 or captures.min() < 2:
        raise ValueError("the judge needs 2 people as background, 2 others, and 2 captures of each")
    if not 0 < floor <= 1 or trials < 1:
        raise ValueError(f"floor {floor} must lie in (0, 1] and trials {trials} be positive")


def _draw(person: Indices, known: int, trials: int, seed: int) -> Iterator[Split]:
    rng = np.random.default_rng(seed)
    everyone = np.unique(person)
    for _ in range(trials):
        order = rng.permutation(everyone)
        shuffled = [rng.permutation(np.flatnonzero(person == sought)) for sought in order[known:]]
        yield Split(
            person=person,
            background=np.flatnonzero(np.isin(person, order[:known])),
            gallery=np.concatenate([captures[: len(captures) // 2] for captures in shuffled]),
            probes=np.concatenate([captures[len(captures) // 2 :] for captures in shuffled]),
        )


def _attack(evidence: Evidence, splits: Sequence[Split]) -> StyleFigures:
    attacks = tuple(_figures(name, evidence, splits) for name in ATTACKERS)
    return StyleFigures(max(attacks, key=lambda figures: (figures.rank1.value, -figures.equal_error_rate)), attacks)


def _figures(attacker: str, evidence: Evidence, splits: Sequence[Split]) -> AttackFigures:
    first, fifth, errors, owners = [], [], [], []
    for split in splits:
        # Rounded, so that what is equal but for the order of additions is a tie on every machine.
        likeness = np.round(ATTACKERS[attacker](evidence, split), 9)
        own = np.unique(split.person[split.gallery])[None, :] == split.person[split.probes][:, None]
        first.append(_within(likeness, own, 1))
        fifth.append(_within(likeness, own, 5))
        errors.append(_equal_error_rate(likeness[own], likeness[~own]))
        owners.append(split.person[split.probes])
    rank1 = _clustered(np.concatenate(first), np.concatenate(owners), len(splits[0].person))
    return AttackFigures(attacker, rank1, float(np.concatenate(fifth).mean()), float(np.mean(errors)))


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


def _clustered(hits: Floats, owner: Indices, captures: int) -> Rate:
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
    return wilson(mean * float(effective), float(effective), confidence=1 - 0.05 / len(ATTACKERS))


def _doubt(rank1: Rate, floor: float, chance: float) -> str:
    """Why an attacker with this score on unmasked captures proves nothing on masked ones, else an empty text."""
    if rank1.value < floor:
        return f"the strongest attacker names {rank1.value:.3f} of the unmasked captures, less than {floor:.3f}"
    if rank1.low < WELL_ABOVE_CHANCE * chance:
        return f"unmasked rank 1 is not surely above chance: lower bound {rank1.low:.3f}, chance {chance:.3f}"
    return ""
