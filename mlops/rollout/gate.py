"""The release gate: figures and rules in, verdict out. A figure that is missing or no number fails its rule.

Only a rule that says so passes over a figure that is missing: it is about what not every candidate has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Rule:
    """A bound on one figure, or on each of many.

    Attributes:
        metric: Dotted name of the figure; a part that is ``*`` stands for any name in its place, and then every figure
            that fits is held to the bound, so that a good mean cannot hide a bad one.
        at_least: Lowest value that passes; None for no such bound.
        at_most: Highest value that passes; None for no such bound.
        if_measured: Whether a figure that is not there at all breaks nothing; one that is no number still does.

    Raises:
        ValueError: The rule bounds nothing, so that it could not fail.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    if_measured: bool = False

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"the rule for {self.metric} has no bound")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a candidate may be released, and every reason against it."""

    passed: bool
    reasons: tuple[str, ...]


def decide(figures: Mapping[str, float], rules: Sequence[Rule]) -> Verdict:
    """Hold the figures against every rule; without rules nothing passes."""
    if not rules:
        return Verdict(False, ("the gate has no rules",))
    reasons = tuple(
        reason for rule in rules for metric in _named(figures, rule) if (reason := _broken(figures, metric, rule))
    )
    return Verdict(not reasons, reasons)


def flatten(figures: Mapping[str, object], prefix: str = "") -> dict[str, float]:
    """Give nested figures dotted names; what is no number or truth value is left out."""
    flat: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            flat[f"{prefix}{name}"] = float(value)
    return flat


def _named(figures: Mapping[str, float], rule: Rule) -> list[str]:
    """Give the figures that a rule is about; where none fits, the rule's own name, which was then not measured."""
    parts = rule.metric.split(".")
    fitting = [name for name in figures if _fits(name.split("."), parts)]
    return fitting or ([] if rule.if_measured else [rule.metric])


def _fits(name: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(name) == len(pattern) and all(want in ("*", part) for part, want in zip(name, pattern, strict=True))


def _broken(figures: Mapping[str, float], metric: str, rule: Rule) -> str | None:
    value = figures.get(metric)
    if value is None or not isfinite(value):
        return f"{metric} was not measured"
    if rule.at_least is not None and value < rule.at_least:
        return f"{metric} is {value:.4g}, at least {rule.at_least:.4g} is required"
    if rule.at_most is not None and value > rule.at_most:
        return f"{metric} is {value:.4g}, at most {rule.at_most:.4g} is allowed"
    return None
