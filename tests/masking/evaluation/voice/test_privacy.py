"""The judge of voices, on speakers who do not exist."""

from dataclasses import replace

import numpy as np
import pytest

from masking.evaluation.voice.parts import cut
from masking.evaluation.voice.privacy import doubt, judge_voices
from masking.evaluation.voice.types import Said
from masking.voice.procedural import Speaker, lexicon, speak

RATE = 16_000
WORDS = lexicon(12, np.random.default_rng(1))


def people(role: str, number: int, seed: int, utterances: int = 4, alike: bool = False) -> list[Said]:
    rng = np.random.default_rng(seed)
    said = []
    one = Speaker.draw(rng, "f")
    for index in range(number):
        sex = "fm"[index % 2]
        speaker = one if alike else Speaker.draw(rng, sex)
        for _ in range(utterances):
            chosen = [WORDS[int(word)] for word in rng.choice(len(WORDS), 6)]
            said.append(Said(f"{role}{index}", speak(speaker, chosen, rng).samples, sex))
    return said


SOUGHT, KNOWN = people("sought", 14, 0), people("known", 24, 1)


def silence(samples: np.ndarray, number: int) -> np.ndarray:
    return np.zeros_like(samples)


def noise(samples: np.ndarray, number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(0, 0.05, len(samples)).astype(np.float32)


@pytest.fixture(scope="module")
def figures():
    return judge_voices(SOUGHT, KNOWN, {"noise": noise, "silence": silence}, copies=1)


@pytest.fixture(scope="module")
def few():
    return people("a", 8, 4, 2), people("b", 8, 5, 2)


def lengths(sounds):
    return {"lengths as they are": np.array([[len(sound), 1.0] for sound in sounds])}


@pytest.fixture(scope="module")
def figures_of_few(few):
    return judge_voices(*few, {}, copies=1, describe=lengths)


def test_unmasked_people_are_known_and_mcadams_is_seen_through(figures):
    assert figures.valid
    assert figures.reason == ""
    assert figures.styles["none"].strongest.equal_error_rate.value < 0.05
    assert figures.styles["none"].rank1.value > 0.8
    assert figures.styles["mcadams"].strongest.equal_error_rate.value < 0.22


@pytest.mark.parametrize("attacker", ["statistics", "mixture", "fusion"])
@pytest.mark.parametrize("way", ["apart", "across"])
def test_every_attacker_earns_a_place(figures, attacker, way):
    (attack,) = (a for a in figures.styles["none"].attacks if (a.attacker, a.way) == (attacker, way))
    assert attack.equal_error_rate.value < 0.2


@pytest.mark.parametrize("style", ["noise", "silence"])
def test_what_says_nothing_leaves_a_guess(figures, style):
    assert figures.styles[style].strongest.equal_error_rate.value > 0.3
    assert figures.styles[style].rank1.low < 0.25
    assert figures.styles[style].strongest.linkability < 0.5


def test_silence_cannot_be_told_from_silence(figures):
    for attack in figures.styles["silence"].attacks:
        assert attack.equal_error_rate.value == pytest.approx(0.5, abs=0.05)
        assert attack.rank1 is None or attack.rank1.value == pytest.approx(figures.chance, abs=0.05)


def test_the_figures_say_what_they_stand_on(figures):
    assert (figures.people, figures.learned_from) == (14, 24)
    assert figures.chance == 1 / 14
    cast = cut(SOUGHT, KNOWN, 1).cast
    assert figures.probes == np.sum(cast.probe & cast.sought[cast.person]) >= 14 * 2
    assert figures.wrong == figures.probes * 6
    facts = figures.facts()
    assert facts["styles"]["none"]["eer"] == figures.styles["none"].strongest.equal_error_rate.value
    assert facts["styles"]["none"]["eer_low"] <= facts["styles"]["none"]["eer"] <= facts["styles"]["none"]["eer_high"]


def test_a_judge_who_does_not_know_unmasked_people_is_not_believed():
    one_voice = judge_voices(people("a", 8, 2, 2, alike=True), people("b", 8, 3, 2, alike=True), {}, copies=1)
    assert not one_voice.valid
    assert "none" in one_voice.reason


def test_a_judge_who_does_not_see_through_mcadams_is_not_believed(figures):
    assert doubt(figures.styles) == ""
    blind = {**figures.styles, "mcadams": figures.styles["silence"]}
    assert "mcadams" in doubt(blind)
    attack = figures.styles["none"].strongest
    broken = replace(attack, equal_error_rate=replace(attack.equal_error_rate, value=float("nan")))
    assert "none" in doubt({**figures.styles, "none": type(figures.styles["none"])((broken,))})


def test_equal_arguments_give_equal_figures(few, figures_of_few):
    assert judge_voices(*few, {}, copies=1, describe=lengths).facts() == figures_of_few.facts()


def test_another_means_of_attack_joins(figures_of_few):
    assert "lengths as they are" in {attack.attacker for attack in figures_of_few.styles["none"].attacks}


def test_long_utterances_are_cut_and_masked_part_by_part():
    long = [Said(str(i), np.ones(10 * RATE, np.float32), "f") for i in range(5)]
    other = [Said(f"k{i}", np.ones(7 * RATE, np.float32), "f") for i in range(5)]
    parts = cut(long, other, copies=3)
    assert len(parts.sounds) == 5 * 3 + 3 * 5 * 2
    assert {len(sound) // RATE for sound in parts.sounds} == {3}
    assert parts.seconds == pytest.approx(50)
    assert parts.cast.gallery.sum() == 5 + 3 * 5


def test_without_a_known_sex_the_pitch_makes_the_groups():
    told = cut(SOUGHT, KNOWN, 1).cast.group
    heard = cut([replace(each, group="") for each in SOUGHT], [replace(each, group="") for each in KNOWN], 1).cast.group
    assert len(set(heard.tolist())) == 2
    agree = np.mean(told == heard)
    assert max(agree, 1 - agree) > 0.85


@pytest.mark.parametrize(
    ("sought", "known", "message"),
    [
        (SOUGHT, SOUGHT, "both sought and learned"),
        (SOUGHT[:12], KNOWN, "4 people"),
        (SOUGHT, KNOWN[:16], "4 people"),
        ([Said("x", np.empty(0, np.float32), "f"), *SOUGHT], KNOWN, "no samples"),
    ],
)
def test_what_cannot_be_judged_is_refused(sought, known, message):
    with pytest.raises(ValueError, match=message):
        judge_voices(sought, known, {}, copies=1)


def test_a_mask_that_changes_the_length_is_refused(few):
    with pytest.raises(ValueError, match="samples"):
        judge_voices(*few, {"short": lambda samples, number: samples[:-1]}, copies=1)
