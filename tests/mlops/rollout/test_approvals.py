"""Who may let a release begin."""

from dataclasses import replace

import pytest

from mlops.rollout.approvals import Approval, NotAllowed, needed, vote
from mlops.settings import load_settings

ASKED = Approval("a", "r", needed=2, requested_by="Ada", reason="better", created=0.0, expires=100.0)


def test_the_risk_says_how_many() -> None:
    settings = load_settings(environ={"MASKER_ROLLOUT__APPROVALS_HIGH": "3"}).rollout
    assert [needed(risk, settings) for risk in ("low", "medium", "high")] == [0, 1, 3]
    with pytest.raises(KeyError):
        needed("none", settings)


def test_as_many_people_as_are_needed() -> None:
    one = vote(ASKED, "bob", True, "looks good", 1.0)
    assert one.state(1.0) == "pending"
    two = vote(one, "cyd", True, "to me, too", 2.0)
    assert two.state(2.0) == "approved"
    assert two.state(1e9) == "approved"
    assert [(each.actor, each.reason, each.time) for each in two.votes] == [
        ("bob", "looks good", 1.0),
        ("cyd", "to me, too", 2.0),
    ]


def test_one_rejection_is_enough() -> None:
    rejected = vote(vote(ASKED, "bob", True, "good", 1.0), "cyd", False, "not today", 2.0)
    assert rejected.state(2.0) == "rejected"


@pytest.mark.parametrize("actor", ["Ada", "ada", " ADA "])
@pytest.mark.parametrize("approves", [True, False])
def test_nobody_decides_on_his_own(actor: str, approves: bool) -> None:
    with pytest.raises(NotAllowed, match="own"):
        vote(ASKED, actor, approves, "it is mine", 1.0)


@pytest.mark.parametrize("again", ["bob", "Bob", "bob "])
def test_nobody_counts_twice(again: str) -> None:
    with pytest.raises(NotAllowed, match="already"):
        vote(vote(ASKED, "bob", True, "good", 1.0), again, True, "really good", 2.0)


@pytest.mark.parametrize(("actor", "reason"), [("bob", ""), ("bob", "  "), ("", "good"), ("  ", "good")])
def test_name_and_reason_are_required(actor: str, reason: str) -> None:
    with pytest.raises(NotAllowed, match="needs"):
        vote(ASKED, actor, True, reason, 1.0)


def test_what_is_decided_or_void_is_not_decided_again() -> None:
    assert ASKED.state(99.9) == "pending"
    assert ASKED.state(100.0) == "expired"
    with pytest.raises(NotAllowed, match="expired"):
        vote(ASKED, "bob", True, "good", 100.0)
    approved = vote(replace(ASKED, needed=1), "bob", True, "good", 1.0)
    with pytest.raises(NotAllowed, match="approved"):
        vote(approved, "cyd", True, "good", 2.0)
