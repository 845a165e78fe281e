import numpy as np
import pytest

from masking.evaluation.voice.linkage import linkability
from masking.evaluation.voice.scores import (
    Trials,
    equal_error_rate,
    error_interval,
    error_rate,
    hits,
    true_positives,
    worst_person,
)


@pytest.mark.parametrize(
    ("right", "wrong", "rate"),
    [
        ([2.0, 3.0], [0.0, 1.0], 0.0),
        ([0.0, 1.0], [2.0, 3.0], 1.0),
        ([1.0, 1.0], [1.0, 1.0], 0.5),
        ([1.0, 3.0], [0.0, 2.0], 0.5),
        ([1.0, 4.0, 5.0, 6.0], [0.0, 0.1, 0.2, 2.0], 0.25),
    ],
)
def test_the_error_rate_is_where_both_errors_are_equal(right, wrong, rate):
    assert equal_error_rate(np.array(right), np.array(wrong)) == pytest.approx(rate)


def test_pairs_count_as_often_as_told():
    right, wrong = np.array([1.0, 3.0]), np.array([0.0, 2.0])
    repeated = equal_error_rate(np.repeat(right, [1, 9]), np.repeat(wrong, [9, 1]))
    assert equal_error_rate(right, wrong, np.array([1.0, 9.0]), np.array([9.0, 1.0])) == pytest.approx(repeated)
    assert repeated == pytest.approx(0.1)


def test_where_one_kind_of_pairs_is_missing_there_is_no_rate():
    assert np.isnan(equal_error_rate(np.empty(0), np.ones(3)))
    assert np.isnan(equal_error_rate(np.ones(3), np.ones(3), weigh=np.zeros(3)))


def trials(apart: float, people: int = 30, probes: int = 4, seed: int = 0) -> Trials:
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(people), probes)
    likeness = rng.normal(size=(len(owner), people))
    likeness[np.arange(len(owner)), owner] += apart
    group = np.arange(people) % 2
    return Trials(likeness, owner, group[:, None] == group[None, :])


def test_only_people_of_a_group_are_mistaken_for_each_other():
    found = trials(1.0)
    likeness = np.where(found.peers[found.owner], found.likeness, 100.0)
    assert error_rate(Trials(likeness, found.owner, found.peers)) == error_rate(found)


def test_who_was_not_asked_is_no_pair():
    found = trials(1.0)
    likeness = found.likeness.copy()
    likeness[:, 0] = np.nan
    seen = Trials(likeness, found.owner, found.peers)
    assert 0 not in seen.right()[1]
    assert 0 not in seen.wrong()[2]


def test_an_interval_holds_the_truth_and_knows_that_people_are_few():
    truth = error_rate(trials(1.5, people=400))
    few = error_interval(trials(1.5, people=16), 100)
    many = error_interval(trials(1.5, people=120), 100)
    assert few[0] < truth < few[1]
    assert many[0] < truth < many[1]
    assert many[1] - many[0] < few[1] - few[0]


def test_figures_agree_that_a_better_attacker_is_better():
    weak, strong = trials(0.5), trials(3.0)
    assert error_rate(strong) < error_rate(weak)
    assert hits(strong.likeness, strong.owner).mean() > hits(weak.likeness, weak.owner).mean()
    assert true_positives(strong) > true_positives(weak)
    assert worst_person(strong) < worst_person(weak)
    ours, others = (linkability(each.right()[0], each.wrong()[0]) for each in (strong, weak))
    assert ours > others + 0.3


def test_a_guess_is_a_guess():
    found = trials(0.0, people=200)
    assert error_rate(found) == pytest.approx(0.5, abs=0.04)
    assert true_positives(found) == pytest.approx(0.01, abs=0.01)
    assert linkability(found.right()[0], found.wrong()[0]) < 0.1


def test_ties_share_the_first_place():
    likeness = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 2.0, 1.0]])
    assert hits(likeness, np.array([0, 1, 1])).tolist() == [0.5, 0.5, 0.0]


def test_the_worst_person_is_the_one_who_is_always_known():
    found = trials(0.0)
    likeness = found.likeness.copy()
    likeness[found.owner == 7, 7] = 50
    assert worst_person(Trials(likeness, found.owner, found.peers)) == pytest.approx(0, abs=1e-9)
    assert error_rate(Trials(likeness, found.owner, found.peers)) > 0.35


def test_linkability_is_one_where_scores_are_apart():
    assert linkability(np.linspace(10, 11, 50), np.linspace(0, 1, 50)) > 0.99
    assert np.isnan(linkability(np.ones(1), np.ones(9)))
