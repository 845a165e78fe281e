"""The release gate: figures and rules in, verdict out. A figure that is missing or no number fails its rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Rule:
    """A bound on one figure.

    Attributes:
        metric: Dotted name of the figure.
        at_least: Lowest value that passes; None for no such bound.
        at_most: Highest value that passes; None for no such bound.

    Raises:
        ValueError: The rule bounds nothing, so that it could not fail.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None

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
    reasons = tuple(reason for rule in rules if (reason := _broken(figures, rule)))
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


def _broken(figures: Mapping[str, float], rule: Rule) -> str | None:
    value = figures.get(rule.metric)
    if value is None or not isfinite(value):
        return f"{rule.metric} was not measured"
    if rule.at_least is not None and value < rule.at_least:
        return f"{rule.metric} is {value:.4g}, at least {rule.at_least:.4g} is required"
    if rule.at_most is not None and value > rule.at_most:
        return f"{rule.metric} is {value:.4g}, at most {rule.at_most:.4g} is allowed"
    return None
