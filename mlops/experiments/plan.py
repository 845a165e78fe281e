"""What an experiment is asked: its arms, its metrics and how sure its answer has to be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose, isfinite
from typing import Any, Final, Literal, get_args

Kind = Literal["binary", "continuous", "ratio", "quantile"]
Role = Literal["primary", "guardrail"]
Better = Literal["higher", "lower"]
Method = Literal["sequential", "fixed"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
SOURCE: Final = re.compile(r"error|seconds|requests|(counts|outcome)\.[A-Za-z0-9_.-]{1,64}")
"""``error``, ``seconds`` and ``requests`` of predictions, ``counts.faces`` and the like, ``outcome.NAME`` of what users
send."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
REMEMBERED: Final = ("error", "seconds", "requests", "counts.faces")
"""Sources that the past of a subject is known of."""
CONTROL: Final = "champion"
EARLY: Final = 0.1
"""Share of alpha that a fixed size spends on harm before it is reached."""
MOST_ARMS: Final = 8
MOST_METRICS: Final = 20
LEAST_VALUE: Final = 1e-12
MOST_VALUE: Final = 1e12
"""Between these, either way, lies what is planned with, and below the latter what users send: beyond, sums of squares
leave what a double can tell, and one value outweighs all others."""


class PlanError(ValueError):
    """The plan makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is measured of every subject.

    Attributes:
        name: What it is called in the answer.
        kind: ``binary`` (share of subjects), ``continuous`` (mean over subjects), ``ratio`` (sum over sum) or
            ``quantile`` (of each subject's first time).
        source: Where values come from: see `SOURCE`.
        role: ``primary``, to be better, or ``guardrail``, not to be worse.
        better: Whether higher or lower is better.
        minimum_effect: Smallest change worth finding, or largest harm that is tolerable of a guardrail, as a share of
            the baseline (of a quantile, of the control's), > 0.
        baseline: The control's value that the plan expects; None to take it from predictions of the past.
        deviation: Standard deviation over subjects (of ``quantile``: of logarithms); None as for ``baseline``, and for
            ``binary``, whose baseline says it.
        quantile: Which quantile, in (0, 1).
        per: Source of the denominator of a ratio.
        history: Whether to take out of a continuous metric what a subject's past before the experiment tells (CUPED).

    Raises:
        PlanError: A value is out of its range.
    """

    name: str
    kind: Kind
    source: str
    role: Role = "primary"
    better: Better = "lower"
    minimum_effect: float = 0.1
    baseline: float | None = None
    deviation: float | None = None
    quantile: float = 0.95
    per: str = "requests"
    history: bool = False

    def __post_init__(self) -> None:
        ask(NAME.fullmatch(self.name) is not None, "a metric is named by up to 32 letters, digits, _ or -")
        ask(self.kind in KINDS, f"the kinds of metrics are {', '.join(KINDS)}")
        ask(self.role in get_args(Role) and self.better in get_args(Better), f"{self.name}: role or better is strange")
        for source in (self.source, self.per):
            ask(
                SOURCE.fullmatch(source) is not None,
                f"{self.name}: values come from error, seconds, requests, counts.NAME or outcome.NAME",
            )
        ask(
            isfinite(self.minimum_effect) and 0 < self.minimum_effect <= 10,
            f"{self.name}: minimum_effect is in (0, 10]",
        )
        ask(0 < self.quantile < 1, f"{self.name}: quantile is in (0, 1)")
        ask(self.kind != "quantile" or self.source == "seconds", f"{self.name}: quantiles are of seconds")
        ask(
            not self.history or (self.kind == "continuous" and self.source in REMEMBERED),
            f"{self.name}: history is of continuous metrics of {', '.join(REMEMBERED)}",
        )
        ask(self.deviation is None or self.deviation > 0, f"{self.name}: deviation must be more than 0")
        self._check_baseline()

    def _check_baseline(self) -> None:
        if self.baseline is None:
            return
        ask(isfinite(self.baseline) and self.baseline > 0, f"{self.name}: baseline must be more than 0")
        ask(self.kind != "binary" or self.baseline < 1, f"{self.name}: baseline of a share is less than 1")

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1


@dataclass(frozen=True, slots=True)
class Arm:
    """What some of the subjects get.

    Attributes:
        name: ``champion`` for the control, which is the first.
        version: Version of the registered model.
        weight: Share of the subjects, in (0, 1).
        digest: SHA-256 of its bundle's manifest, hex.
        policy: Defaults of the endpoint that are others for this arm.
    """

    name: str
    version: str
    weight: float
    digest: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment as it is asked for.

    Attributes:
        endpoint: Name of the endpoint.
        model: Name of its registered model.
        arms: The control first.
        metrics: One or more; without a primary one, an arm is shipped that is shown not to be worse.
        alpha: Share of experiments without any difference that may ever say that there is one.
        power: Share of experiments with the minimum effect that find it within the planned size.
        longest_seconds: Longest duration.
        window_seconds: How long after a subject's first prediction values still count for it; 0 counts the first alone.
        least_subjects: Subjects that every arm needs before anything is said.
        method: ``sequential``: answers at any time; ``fixed``: once, when the planned size is reached.

    Raises:
        PlanError: A value is out of its range.
    """

    endpoint: str
    model: str
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    alpha: float
    power: float
    longest_seconds: float
    window_seconds: float
    least_subjects: int
    method: Method = "sequential"

    def __post_init__(self) -> None:
        ask(2 <= len(self.arms) <= MOST_ARMS, f"an experiment has 2 to {MOST_ARMS} arms")
        ask(self.arms[0].name == CONTROL, f"the first arm is the control and called {CONTROL}")
        ask(all(NAME.fullmatch(arm.name) for arm in self.arms), "an arm is named by up to 32 letters, digits, _ or -")
        ask(len({arm.name for arm in self.arms}) == len(self.arms), "every arm has a name of its own")
        ask(all(0 < arm.weight < 1 for arm in self.arms), "every arm has a weight between 0 and 1")
        ask(isclose(sum(arm.weight for arm in self.arms), 1, abs_tol=1e-6), "the weights must sum to 1")
        ask(
            all((arm.version, arm.policy) != (self.arms[0].version, self.arms[0].policy) or arm is self.arms[0]
                for arm in self.arms),
            "an arm must differ from the control in version or policy",
        )  # fmt: skip
        ask(1 <= len(self.metrics) <= MOST_METRICS, f"an experiment has 1 to {MOST_METRICS} metrics")
        ask(len({each.name for each in self.metrics}) == len(self.metrics), "every metric has a name of its own")
        ask(1e-6 <= self.alpha <= 0.2, "alpha is from 0.000001 to 0.2")
        ask(0.5 <= self.power <= 0.99, "power is from 0.5 to 0.99")
        ask(self.longest_seconds > self.window_seconds >= 0, "the longest duration must exceed the window")
        ask(self.least_subjects >= 2, "at least 2 subjects are needed in each arm")
        ask(self.method in get_args(Method), "the methods are sequential and fixed")
        for metric in self.metrics:
            ask(
                self.window_seconds > 0 or not _from_outcomes(metric),
                f"{metric.name}: outcomes come after the prediction, so the window must be longer than 0",
            )

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that it needs, each once."""
        return tuple(dict.fromkeys(arm.version for arm in self.arms))

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """The arms but the control."""
        return self.arms[1:]

    @property
    def comparisons(self) -> int:
        """How many questions are asked at once: metrics times treatments."""
        return len(self.metrics) * len(self.treatments)

    @property
    def alpha_last(self) -> float:
        """Alpha of what is said when benefits may be told: all of it, less what early harm has used of a fixed size."""
        return self.alpha if self.method == "sequential" else self.alpha - self.alpha_early

    @property
    def alpha_early(self) -> float:
        """Alpha of what is said before: always-valid intervals watch for harm also where the size is fixed."""
        return self.alpha if self.method == "sequential" else self.alpha * EARLY

    def each(self, alpha: float) -> float:
        """Return the share of an alpha that one question has, so that all of them together keep to it (Bonferroni)."""
        return alpha / self.comparisons


def _from_outcomes(metric: Metric) -> bool:
    return metric.source.startswith("outcome.") or (metric.kind == "ratio" and metric.per.startswith("outcome."))


def ask(holds: bool, sentence: str) -> None:
    """Raise PlanError with that sentence unless something holds."""
    if not holds:
        raise PlanError(sentence)
