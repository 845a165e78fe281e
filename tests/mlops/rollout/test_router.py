"""Who gets which variant."""

from dataclasses import replace
from math import ceil, sqrt

from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.rollout.router import among, choose, place
from mlops.rollout.traffic import Split, Variant

PEOPLE = [f"person-{number}" for number in range(4000)]
DIGEST = "a" * 64


def split(*weights: float, salt: str = "s", rolling: float | None = None) -> Split:
    arms = [Variant(f"arm-{number}", str(number), DIGEST, weight) for number, weight in enumerate(weights, 2)]
    return Split("m", (Variant("champion", "1", DIGEST, 1 - sum(weights)), *arms), salt=salt, rolling=rolling)


@given(st.text(), st.text())
def test_a_place_is_below_one_and_always_the_same(subject: str, salt: str) -> None:
    assert 0 <= place(subject, salt) < 1
    assert place(subject, salt) == place(subject, salt)


@given(st.floats(0, 1), st.floats(0, 1), st.text(max_size=10))
def test_who_has_the_candidate_keeps_it_as_its_weight_grows(one: float, other: float, salt: str) -> None:
    low, high = sorted((one, other))
    before, after = split(low, salt=salt), split(high, salt=salt)
    for person in PEOPLE[:100]:
        if choose(before, person).name == "arm-2":
            assert choose(after, person).name == "arm-2"


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.text(max_size=10))
def test_each_gets_its_share_within_what_chance_allows(weight: float, salt: str) -> None:
    got = sum(choose(split(weight, salt=salt), person).name == "arm-2" for person in PEOPLE)
    # Six standard deviations: one in a thousand million.
    assert abs(got - weight * len(PEOPLE)) <= 6 * sqrt(len(PEOPLE) * weight * (1 - weight)) + 1e-6 * len(PEOPLE)


@given(st.text(), st.text(max_size=10))
def test_weight_0_gets_nobody_and_weight_1_everybody(subject: str, salt: str) -> None:
    assert choose(split(0.0, salt=salt), subject).name == "champion"
    assert choose(split(1.0, salt=salt), subject).name == "arm-2"
    assert choose(split(0.0, 1.0, salt=salt), subject).name == "arm-3"


def test_a_shadow_never_answers() -> None:
    dark = Variant("dark", "2", DIGEST, 0.0, shadow=True)
    watched = Split("m", (Variant("champion", "1", DIGEST, 0.5), dark, Variant("arm", "3", DIGEST, 0.5)), salt="s")
    assert {choose(watched, person).name for person in PEOPLE} == {"champion", "arm"}


def test_another_salt_is_another_draw() -> None:
    one, other = split(0.5, salt="one"), split(0.5, salt="other")
    both = sum(choose(one, person).name == choose(other, person).name for person in PEOPLE)
    assert 0.4 < both / len(PEOPLE) < 0.6


def test_three_arms_get_their_shares_and_each_person_one_of_them() -> None:
    counts = {"champion": 0, "arm-2": 0, "arm-3": 0}
    for person in PEOPLE:
        counts[choose(split(0.3, 0.2), person).name] += 1
    assert abs(counts["arm-2"] / len(PEOPLE) - 0.3) < 0.04
    assert abs(counts["arm-3"] / len(PEOPLE) - 0.2) < 0.04


def test_a_rolling_split_goes_by_replica_and_replicas_stay_changed() -> None:
    replicas = [f"serving-{number}" for number in range(50)]
    changed: set[str] = set()
    for share in (0.0, 0.25, 0.5, 1.0):
        rolled = split(share, rolling=share)
        now = {each for each in replicas if choose(rolled, "anybody", each).name == "arm-2"}
        assert now == {each for each in replicas if choose(rolled, "somebody else", each).name == "arm-2"}
        assert changed <= now
        changed = now
    assert changed == set(replicas)


def changed_over(standing: Split, replicas: frozenset[str]) -> frozenset[str]:
    return frozenset(each for each in replicas if choose(standing, "anybody", each).name == "arm-2")


@given(st.sets(st.text(), min_size=1, max_size=30).map(frozenset), st.text(max_size=10))
def test_replica_after_replica_changes_over_and_none_changes_back(replicas: frozenset[str], salt: str) -> None:
    standing, before = None, frozenset[str]()
    for tenths in range(1, 11):
        share = tenths / 10
        standing = among(split(share, salt=salt, rolling=share), replicas, standing)
        now = changed_over(standing, replicas)
        assert before <= now
        assert len(now) == ceil(tenths * len(replicas) / 10)
        before = now


def test_within_a_step_sides_stay_whatever_becomes_of_the_replicas() -> None:
    two = frozenset({"a", "b"})
    wanted = split(0.25, rolling=0.25)
    standing = among(wanted, two, None)
    changed = changed_over(standing, two)
    assert among(wanted, two - changed, standing) == among(wanted, frozenset(), standing) == standing
    assert (
        changed_over(among(replace(wanted, release="another"), two - changed, standing), two - changed) == two - changed
    )


def test_without_replicas_none_changes_over_until_all_are_to() -> None:
    assert among(split(0.5, rolling=0.5), frozenset(), None).rolling == 0
    assert among(split(1.0, rolling=1.0), frozenset(), None).rolling == 1
    by_subject = split(0.5)
    assert among(by_subject, frozenset({"a"}), None) is by_subject
