"""The judge of privacy: whom can an attacker name behind a mask, by how much he knows of it?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from masking.evaluation.attackers import ATTACKERS, Attacker, Evidence, Image, Indices, Split, examine
from masking.evaluation.detection import Rate
from masking.evaluation.identification import AttackFigures, attack, strongest

WELL_ABOVE_CHANCE = 2.0
PIXEL = "pixels"
"""The attacker that compares pixels alone."""

Describe = Callable[[Sequence[Image], NDArray[np.float32]], Evidence]
Album = Sequence[Image]


@dataclass(frozen=True, slots=True)
class StyleFigures:
    """What was reached on one style, by what the attacker knows.

    Attributes:
        attacks: The parrot, who masks his gallery the same way (Newton, Sweeney and Malin, TKDE 17, 2005), with each
            means of attack.
        naive: The strongest who knows nothing of the mask: his gallery and all that he learned from is unmasked.
        linkage: The strongest who has no names at all, and looks for a masked capture of the same person among one of
            each person in another release, masked with another key.

    The last two are None where only parrots were asked for.
    """

    attacks: tuple[AttackFigures, ...]
    naive: AttackFigures | None
    linkage: AttackFigures | None

    @property
    def strongest(self) -> AttackFigures:
        """The strongest parrot, who is what counts."""
        return strongest(self.attacks)

    @property
    def pixel(self) -> AttackFigures:
        """The parrot who compares pixels alone."""
        return next(figures for figures in self.attacks if figures.attacker == PIXEL)


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
    masked: Mapping[str, tuple[Album, Album]],
    *,
    floor: float = 0.5,
    background: float = 0.4,
    trials: int = 10,
    seed: int = 0,
    parrots_only: bool = False,
    attackers: Mapping[str, Attacker] = ATTACKERS,
    describe: Describe = examine,
) -> PrivacyFigures:
    """Let every attacker try to name the people in unmasked and in masked captures.

    In each of ``trials`` draws a share of the people becomes the background that the attackers learn from; of every
    other person half of the captures become the named gallery and half the probes. All are aligned by the true
    landmarks even where the mask hides them: the worst case. What the crops show around the mask is used, so clothes
    and scene count; cut the crops so that their framing and background say nothing of the person, or expect to see it
    in every style.

    The judge is valid only if the strongest parrot reaches ``floor`` on the unmasked captures, and its lower bound and
    that of linkage are twice chance or more there.

    Args:
        crops: unmasked captures, each (h, w, 3); the order of channels does not matter.
        identities: who is in each capture; at least 4 people with at least 2 captures each.
        landmarks: (n, 5, 2) in pixels of the crops, of the same places in the masked ones.
        masked: for each style the same captures, masked twice with different keys: the first time for the attackers
            who name people, the second time as the release that the first is to be linked with.
        floor: rank-1 share in (0, 1] that the judge must reach without a mask.
        background: share of the people who are background, in (0, 1).
        trials: draws over which the figures are averaged.
        seed: of the draws; equal arguments give equal figures.
        parrots_only: whether to leave out the naive attackers and linkage, which take most of the time.
        attackers: means of attack, `PIXEL` among them.
        describe: what they look at.

    Raises:
        ValueError: the sequences differ in length or the crops in shape, people or captures are too few, or a number
            is out of range.
    """
    names, person = np.unique(np.asarray(identities), return_inverse=True)
    known = round(len(names) * background)
    _check(crops, landmarks, masked, person, known, floor, trials)
    splits = list(_draw(person, known, trials, seed))

    def figures(first: Album, second: Album) -> StyleFigures:
        parrots = attack(describe(first, landmarks), splits, attackers)
        if parrots_only:
            return StyleFigures(parrots, None, None)
        both = np.concatenate([landmarks, landmarks])
        naive = strongest(parrots)
        if first is not crops:
            elsewhere = [_elsewhere(split) for split in splits]
            naive = strongest(attack(describe([*crops, *first], both), elsewhere, attackers))
        nameless = [_elsewhere(_nameless(split)) for split in splits]
        return StyleFigures(parrots, naive, strongest(attack(describe([*first, *second], both), nameless, attackers)))

    unmasked = figures(crops, crops)
    chance = 1 / (len(names) - known)
    reason = _doubt(unmasked, floor, chance)
    return PrivacyFigures(
        people=len(names),
        captures=len(crops),
        enrolled=len(names) - known,
        chance=chance,
        floor=floor,
        unmasked=unmasked,
        styles={style: figures(*albums) for style, albums in masked.items()},
        valid=not reason,
        reason=reason,
    )


def _check(
    crops: Sequence[Image],
    landmarks: NDArray[np.float32],
    masked: Mapping[str, tuple[Album, Album]],
    person: Indices,
    known: int,
    floor: float,
    trials: int,
) -> None:
    albums = [album for both in masked.values() for album in both]
    lengths = {len(crops), len(person), *map(len, albums)}
    if lengths != {len(person)} or landmarks.shape != (len(person), 5, 2):
        raise ValueError(f"{len(person)} identities do not fit crops of {sorted(lengths)}, landmarks {landmarks.shape}")
    shapes = [crop.shape for crop in crops]
    if any(len(shape) != 3 or shape[2] != 3 for shape in shapes):
        raise ValueError("crops need three channels")
    if any([image.shape for image in album] != shapes for album in albums):
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


def _elsewhere(split: Split) -> Split:
    """The same with the probes from a second set of the captures, which follows the first."""
    return replace(split, person=np.tile(split.person, 2), probes=split.probes + len(split.person))


def _nameless(split: Split) -> Split:
    """The same with one capture of each person in the gallery: there is no second one to know anybody by."""
    _, first = np.unique(split.person[split.gallery], return_index=True)
    return replace(split, gallery=split.gallery[first])


def _doubt(unmasked: StyleFigures, floor: float, chance: float) -> str:
    """Why attackers with these figures on unmasked captures prove nothing on masked ones, else an empty text."""
    rank1 = unmasked.strongest.rank1
    if rank1.value < floor:
        return f"the strongest attacker names {rank1.value:.3f} of the unmasked captures, less than {floor:.3f}"
    rates: dict[str, Rate] = {"rank 1": rank1}
    if unmasked.linkage is not None:
        rates["linkage"] = unmasked.linkage.rank1
    for name, rate in rates.items():
        if rate.low < WELL_ABOVE_CHANCE * chance:
            return f"unmasked {name} is not surely above chance: lower bound {rate.low:.3f}, chance {chance:.3f}"
    return ""
