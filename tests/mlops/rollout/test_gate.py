import math

import pytest

from mlops.rollout.gate import Rule, decide, flatten

RULES = [Rule("recall", at_least=0.9), Rule("rank1", at_most=0.1)]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"recall": 0.89, "rank1": 0.05}, "recall is 0.89, at least 0.9 is required"),
        ({"recall": 0.95, "rank1": 0.2}, "rank1 is 0.2, at most 0.1 is allowed"),
        ({"recall": 0.95}, "rank1 was not measured"),
        ({"recall": math.nan, "rank1": 0.05}, "recall was not measured"),
        ({"recall": math.inf, "rank1": 0.05}, "recall was not measured"),
    ],
)
def test_a_broken_rule_closes_the_gate_and_says_why(figures: dict[str, float], reason: str) -> None:
    verdict = decide(figures, RULES)
    assert not verdict.passed
    assert verdict.reasons == (reason,)


def test_bounds_themselves_pass() -> None:
    assert decide({"recall": 0.9, "rank1": 0.1}, RULES).passed


def test_every_reason_is_told() -> None:
    assert len(decide({}, RULES).reasons) == 2


@pytest.mark.parametrize(
    ("figures", "reasons"),
    [
        ({"slices.dark.drop": 0.01, "slices.turned.drop": 0.0}, ()),
        (
            {"slices.dark.drop": 0.01, "slices.turned.drop": 0.2},
            ("slices.turned.drop is 0.2, at most 0.05 is allowed",),
        ),
        ({"slices.dark.drop": math.nan, "slices.turned.drop": 0.0}, ("slices.dark.drop was not measured",)),
        ({"slices.dark.deep.drop": 0.9, "slices.drop": 0.9, "drop": 0.9}, ("slices.*.drop was not measured",)),
    ],
)
def test_a_rule_for_all_holds_each_to_its_bound(figures: dict[str, float], reasons: tuple[str, ...]) -> None:
    assert decide(figures, [Rule("slices.*.drop", at_most=0.05)]).reasons == reasons


@pytest.mark.parametrize(
    ("figures", "passes"), [({}, True), ({"rank1": 0.1}, True), ({"rank1": 0.2}, False), ({"rank1": math.nan}, False)]
)
def test_a_rule_for_what_may_be_missing_holds_what_is_there(figures: dict[str, float], passes: bool) -> None:
    assert decide(figures, [Rule("rank1", at_most=0.1, if_measured=True)]).passed is passes


def test_a_gate_without_rules_is_closed() -> None:
    assert not decide({"recall": 1.0}, []).passed


def test_a_rule_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="no bound"):
        Rule("recall")


def test_nested_figures_get_dotted_names() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": True}}, "e": "text", "f": None}) == {"a.b": 1.0, "a.c.d": 1.0}
