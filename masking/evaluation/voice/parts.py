"""Long utterances cut into disjoint parts, and who plays which part in the trials."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from masking.evaluation.voice.attackers import Cast
from masking.evaluation.voice.spectra import RATE, analyse
from masking.evaluation.voice.types import Said
from masking.voice.types import Mono

PART_SECONDS = 3.3
"""About what a part lasts; it is masked as an utterance of its own."""
HIGH_VOICE_HZ = 165.0
LEAST_PEOPLE = 4
"""People of each role in each group: two in each of two folds."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What is masked, one by one, and the roles.

    Attributes:
        sounds: what is masked and then attacked, each (n,) samples.
        cast: the role of each of them.
    """

    sounds: tuple[Mono, ...]
    cast: Cast

    @property
    def seconds(self) -> float:
        """Speech of the people who are sought."""
        sought = self.cast.sought[self.cast.person]
        return float(sum(len(sound) for sound, mine in zip(self.sounds, sought, strict=True) if mine) / RATE)


def cut(sought: Sequence[Said], known: Sequence[Said], copies: int) -> Parts:
    """Cut what everybody said into parts: the first half of them carries the name, the second is to be named.

    What people who are not sought said is there ``copies`` times, to be masked with other numbers: an attacker has the
    masker, and may make as much to learn from as he likes.

    Raises:
        ValueError: somebody is both sought and known, said nothing, or a group has too few people for the folds.
    """
    seekable, others = _by_speaker(sought), _by_speaker(known)
    if both := set(seekable) & set(others):
        raise ValueError(f"{len(both)} people are both sought and learned from")
    people = [*seekable.values(), *others.values()]
    groups = [_group(each) for each in people]
    _check(groups, len(seekable))
    sounds: list[Mono] = []
    roles: list[tuple[int, bool]] = []
    for number, said in enumerate(people):
        pieces = _pieces(said)
        for _ in range(1 if number < len(seekable) else copies):
            for index, piece in enumerate(pieces):
                sounds.append(piece)
                roles.append((number, index < len(pieces) // 2))
    number_of = {group: index for index, group in enumerate(sorted(set(groups)))}
    gallery = np.array([named for _, named in roles])
    cast = Cast(
        person=np.array([person for person, _ in roles], np.intp),
        group=np.array([number_of[group] for group in groups], np.intp),
        sought=np.arange(len(people)) < len(seekable),
        gallery=gallery,
        probe=~gallery,
    )
    return Parts(tuple(sounds), cast)


def _by_speaker(said: Sequence[Said]) -> dict[str, list[Said]]:
    people: dict[str, list[Said]] = {}
    for each in said:
        people.setdefault(each.speaker, []).append(each)
    return people


def _pieces(said: Sequence[Said]) -> list[Mono]:
    """Parts of about equal length of each utterance, two at least of a person."""
    pieces = []
    for each in said:
        number = max(round(len(each.samples) / RATE / PART_SECONDS), 2 if len(said) == 1 else 1)
        if len(each.samples) < number:
            raise ValueError("an utterance has no samples")
        pieces += [np.ascontiguousarray(piece) for piece in np.array_split(each.samples, number)]
    return pieces


def _group(said: Sequence[Said]) -> str:
    if said[0].group:
        return said[0].group
    pitch = np.concatenate([analyse(each.samples).pitch for each in said])
    voiced = pitch[np.isfinite(pitch)]
    return "high" if len(voiced) and np.exp(np.median(voiced)) > HIGH_VOICE_HZ else "low"


def _check(groups: Sequence[str], sought: int) -> None:
    for group in set(groups):
        mine = [index < sought for index, each in enumerate(groups) if each == group]
        if min(sum(mine), len(mine) - sum(mine)) < LEAST_PEOPLE:
            found = f"{sum(mine)} sought and {len(mine) - sum(mine)} others"
            raise ValueError(f"attackers need {LEAST_PEOPLE} people of each role in a group; one has {found}")
