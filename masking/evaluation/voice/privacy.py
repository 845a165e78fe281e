"""The judge of voices: whom can an attacker name who has the masker and learned from what it puts out?

Such an attacker is called semi-informed (Srivastava et al., ICASSP 2020; the VoicePrivacy challenges gate on him). Each
masker is attacked by attackers who learn anew from its own output, several in kind; the lowest error rate counts. The
judge is judged in the same run: he must know unmasked people, and see through a masker that is known to be weak.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from masking.evaluation.detection import Rate, wilson
from masking.evaluation.voice.attackers import Evidence, across, apart
from masking.evaluation.voice.baselines import mcadams
from masking.evaluation.voice.encoder import encode
from masking.evaluation.voice.linkage import linkability
from masking.evaluation.voice.mixture import departure, learn, spoken
from masking.evaluation.voice.parts import Parts, cut
from masking.evaluation.voice.scores import (
    Trials,
    error_interval,
    error_rate,
    hits,
    true_positives,
    worst_person,
)
from masking.evaluation.voice.spectra import analyse
from masking.evaluation.voice.statistics import statistics
from masking.evaluation.voice.types import Floats, Mask, Said
from masking.voice.types import Mono

UNMASKED: Final = "none"
WEAK: Final = "mcadams"
MOST_UNMASKED: Final = 0.05
MOST_WEAK: Final = 0.22
DRAWS: Final = 200

Describe = Callable[[Sequence[Mono]], Mapping[str, Floats]]
"""Describes utterances by one row each, of one or more kinds: another judge, such as a speaker recogniser."""


@dataclass(frozen=True, slots=True)
class VoiceAttack:
    """What one attacker reached.

    Attributes:
        attacker: what he looks at.
        way: ``apart`` if he learned from people of whom none is sought, ``across`` if from nearly everybody else too.
        equal_error_rate: of verification within a group, .5 for a guess; its 95 % interval is over people.
        rank1: share of the probes whose person is the likeliest of all that are sought; None for ``across``, who does
            not compare everybody with everybody.
        true_positives: share of the right pairs accepted where 1 % of the wrong ones are.
        worst: equal error rate for the person who is recognised best.
        linkability: D_sys in [0, 1], 0 where right and wrong pairs look alike.
    """

    attacker: str
    way: str
    equal_error_rate: Rate
    rank1: Rate | None
    true_positives: float
    worst: float
    linkability: float

    def facts(self) -> dict[str, Any]:
        """Give the figures as JSON knows them."""
        return {
            "attacker": self.attacker,
            "way": self.way,
            "eer": self.equal_error_rate.value,
            "rank1": None if self.rank1 is None else self.rank1.value,
            "tpr_at_1_percent": self.true_positives,
            "worst_eer": self.worst,
            "linkability": self.linkability,
        }


@dataclass(frozen=True, slots=True)
class VoiceStyle:
    """What all attackers reached on one masker."""

    attacks: tuple[VoiceAttack, ...]

    @property
    def strongest(self) -> VoiceAttack:
        """The attack with the lowest error rate, which is what counts."""
        return min(self.attacks, key=lambda attack: attack.equal_error_rate.value)

    @property
    def rank1(self) -> Rate:
        """The highest rank 1 of any attacker."""
        return max((attack.rank1 for attack in self.attacks if attack.rank1 is not None), key=lambda rate: rate.value)

    def facts(self) -> dict[str, Any]:
        """Give the figures that count, and those of every attacker."""
        best = self.strongest
        return {
            "eer": best.equal_error_rate.value,
            "eer_low": best.equal_error_rate.low,
            "eer_high": best.equal_error_rate.high,
            "rank1": self.rank1.value,
            "rank1_low": self.rank1.low,
            "rank1_high": self.rank1.high,
            "tpr_at_1_percent": max(attack.true_positives for attack in self.attacks),
            "worst_eer": best.worst,
            "linkability": max(attack.linkability for attack in self.attacks),
            "attacker": f"{best.attacker}, {best.way}",
            "attackers": {f"{attack.attacker}, {attack.way}": attack.facts() for attack in self.attacks},
        }


@dataclass(frozen=True, slots=True)
class VoicePrivacy:
    """What the attackers reached on every masker, and whether they may be believed.

    Attributes:
        people: people who are sought.
        learned_from: other people whom attackers learn from.
        seconds: speech of those who are sought.
        probes: parts that are to be named: pairs that are right.
        wrong: pairs within a group that are wrong.
        chance: rank 1 of a guess.
        styles: figures by masker; ``none`` and ``mcadams`` are the judge's own examination.
        valid: whether the judge passed; if not, the figures prove nothing, however good.
        reason: why he did not pass, else empty.
    """

    people: int
    learned_from: int
    seconds: float
    probes: int
    wrong: int
    chance: float
    styles: Mapping[str, VoiceStyle]
    valid: bool
    reason: str

    def facts(self) -> dict[str, Any]:
        """Give all figures as JSON knows them."""
        told: dict[str, Any] = {name: getattr(self, name) for name in ("people", "learned_from", "seconds", "probes")}
        told |= {"wrong_pairs": self.wrong, "chance": self.chance, "valid": self.valid, "reason": self.reason}
        return {**told, "styles": {name: style.facts() for name, style in self.styles.items()}}


def judge_voices(
    sought: Sequence[Said],
    known: Sequence[Said],
    masks: Mapping[str, Mask],
    *,
    copies: int = 2,
    seed: int = 0,
    describe: Describe | None = None,
    thorough: bool = False,
) -> VoicePrivacy:
    """Let every attacker try to tell who speaks, without a mask, behind McAdams, and behind each of ``masks``.

    Utterances are cut into parts of about 3 s, each masked by itself with a number of its own, as the policy draws
    them by default.

    Args:
        sought: what the people said whose voices are to be hidden; none of them may be known to the maskers' makers.
        known: what other people said; attackers learn from it, masked.
        masks: maskers by name.
        copies: how often ``known`` is masked, with other numbers.
        seed: of the numbers; equal arguments give equal figures.
        describe: further means of attack.
        thorough: whether attackers teach a network as well, a minute of CPU time for each masker.

    Raises:
        ValueError: somebody is in both, a group has fewer than four people in either, or a masker changes a length.
    """
    parts = cut(sought, known, copies)
    numbers = [int(each) for each in np.random.default_rng(seed).integers(2**63, size=len(parts.sounds))]
    everything: dict[str, Mask] = {UNMASKED: _as_it_is, WEAK: mcadams, **masks}
    styles = {name: _attacked(parts, mask, numbers, describe, thorough) for name, mask in everything.items()}
    cast = parts.cast
    owner = cast.person[cast.probe & cast.sought[cast.person]]
    among = cast.peers[np.ix_(owner, np.flatnonzero(cast.sought))]
    reason = doubt(styles)
    return VoicePrivacy(
        people=int(cast.sought.sum()),
        learned_from=int((~cast.sought).sum()),
        seconds=round(parts.seconds, 1),
        probes=len(owner),
        wrong=int(among.sum()) - len(owner),
        chance=1 / int(cast.sought.sum()),
        styles=styles,
        valid=not reason,
        reason=reason,
    )


def doubt(styles: Mapping[str, VoiceStyle]) -> str:
    """Why a judge with these figures of ``none`` and ``mcadams`` proves nothing, else an empty text."""
    for name, most in ((UNMASKED, MOST_UNMASKED), (WEAK, MOST_WEAK)):
        rate = styles[name].strongest.equal_error_rate.value
        if not rate <= most:
            return f"the strongest attacker's error rate for {name} is {rate:.3f}, more than {most:.2f}"
    return ""


def _attacked(
    parts: Parts, mask: Mask, numbers: Sequence[int], describe: Describe | None, thorough: bool
) -> VoiceStyle:
    masked = [_masked(mask, sound, number) for sound, number in zip(parts.sounds, numbers, strict=True)]
    evidence = _evidence(masked, parts, describe, thorough)
    return VoiceStyle(
        tuple(
            _reached(kind, way, trials)
            for way, attack in (("apart", apart), ("across", across))
            for kind, trials in attack(evidence, parts.cast).items()
        )
    )


def _masked(mask: Mask, sound: Mono, number: int) -> Mono:
    masked = mask(sound, number)
    if masked.shape != sound.shape:
        raise ValueError(f"a masker made {masked.shape} samples of {sound.shape}")
    return masked


def _evidence(sounds: Sequence[Mono], parts: Parts, describe: Describe | None, thorough: bool) -> Evidence:
    """Describe masked utterances by all means at hand; what everybody sounds like is learned from the known."""
    known = ~parts.cast.sought[parts.cast.person]
    frames = [analyse(sound) for sound in sounds]
    speech = [spoken(each) for each in frames]
    everyone = learn(np.concatenate([rows for rows, mine in zip(speech, known, strict=True) if mine]))
    return {
        "statistics": np.stack([statistics(each) for each in frames]),
        "mixture": np.stack([departure(everyone, rows) for rows in speech]),
        **({"encoder": encode(frames, parts.cast.person, known)} if thorough else {}),
        **({} if describe is None else describe(sounds)),
    }


def _reached(kind: str, way: str, trials: Trials) -> VoiceAttack:
    rate = error_rate(trials)
    low, high = error_interval(trials, DRAWS)
    people = len(trials.peers)
    return VoiceAttack(
        attacker=kind,
        way=way,
        equal_error_rate=Rate(rate, low, high, people),
        rank1=_rank1(trials) if way == "apart" else None,
        true_positives=true_positives(trials),
        worst=worst_person(trials),
        linkability=linkability(trials.right()[0], trials.wrong()[0]),
    )


def _rank1(trials: Trials) -> Rate:
    """Share of the probes named at once; the interval takes a person for a trial."""
    share = float(hits(trials.likeness, trials.owner).mean())
    people = len(trials.peers)
    return wilson(share * people, people)


def _as_it_is(samples: Mono, number: int) -> Mono:
    del number
    return samples
