"""What was seen of every subject: rows of predictions and outcomes become one line a subject, then values of metrics.

A subject is exposed by its first row in the experiment and belongs to that row's arm from then on, whatever it gets
later (intention to treat). Its values are final once its window is over, and only then does it count: what an interval
was computed from never changes afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlops.experiments.plan import Metric
from mlops.experiments.power import Expected
from mlops.experiments.summaries import linearised

Floats = NDArray[np.float64]
OK = "ok"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """What is read of one prediction.

    Attributes:
        time: Seconds since the epoch.
        subject: Keyed hash of whoever asked.
        variant: Arm that answered.
        outcome: ``ok`` where an answer was made anew, ``failed`` where that failed; others count as requests alone.
        seconds: From request to answer.
        counts: What was found.
    """

    time: float
    subject: str
    variant: str
    outcome: str
    seconds: float
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a user of the platform says of a subject."""

    time: float
    subject: str
    name: str
    value: float


@dataclass(slots=True)
class _Line:
    arm: str
    since: float
    latest: float
    crossed: bool = False
    requests: int = 0
    failed: int = 0
    answers: int = 0
    seconds: float = 0.0
    first_seconds: float = np.nan
    sums: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observations:
    """One line for each subject whose window is over, in the order of their exposure.

    Attributes:
        exposed: Subjects of each arm, those included whose window is still open.
        crossed: Subjects that were seen in more than one arm.
        subjects: Their hashes, by arm.
        columns: Values by arm and source, each of shape (subjects of the arm,).
    """

    exposed: Mapping[str, int]
    crossed: int
    subjects: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, Mapping[str, Floats]]

    def values(self, arm: str, metric: Metric) -> tuple[Floats, Floats]:
        """Return a metric's values, and denominators (ones but for ratios), of the subjects of an arm that have any."""
        known = self.columns[arm]
        if metric.kind == "ratio":
            above, below = (_column(known, _summed(source)) for source in (metric.source, metric.per))
        else:
            above = _column(known, _single(metric))
            below = np.ones_like(above)
        there = np.isfinite(above) & np.isfinite(below)
        if metric.kind == "binary":
            above = np.where(there, above > 0, above).astype(np.float64)
        return above[there], below[there]

    def who(self, arm: str, metric: Metric) -> list[str]:
        """Return the subjects that `values` are of."""
        there = np.isfinite(_column(self.columns[arm], _single(metric)))
        return [name for name, has in zip(self.subjects[arm], there, strict=True) if has]


def observe(
    rows: Iterable[Row], outcomes: Iterable[Outcome], arms: Sequence[str], window_seconds: float, now: float
) -> Observations:
    """Gather what was seen.

    Args:
        rows: Predictions of the experiment, those of one subject in the order of time.
        outcomes: What was said of subjects.
        arms: Names of the arms; rows of others, as of a variant that somebody picked himself, expose nobody.
        window_seconds: How long after a subject's first row others count; 0 counts the first alone.
        now: Seconds since the epoch.
    """
    lines: dict[str, _Line] = {}
    for row in rows:
        if row.subject and row.variant in arms:
            _add_row(lines, row, window_seconds)
    names = set()
    for said in outcomes:
        line = lines.get(said.subject)
        if line is not None and 0 <= said.time - line.since <= window_seconds:
            source = f"outcome.{said.name}"
            names.add(source)
            line.sums[source] = line.sums.get(source, 0.0) + said.value
    for line in lines.values():
        names |= line.sums.keys()
    return _gathered(lines, arms, names, now - window_seconds)


def expected(observations: Observations, arm: str, metric: Metric) -> Expected | None:
    """Return what observations of the past say of a metric; None where they say too little."""
    if metric.source.startswith("outcome."):
        return None
    above, below = observations.values(arm, metric)
    if len(above) < 2:
        return None
    if metric.kind == "quantile":
        logs = np.log(np.maximum(above, 1e-9))
        return Expected(float(np.quantile(above, metric.quantile)), float(logs.std(ddof=1)))
    baseline = float(above.sum() / below.sum()) if below.sum() > 0 else 0.0
    spread = linearised(above, below) if metric.kind == "ratio" else above
    return Expected(baseline, float(spread.std(ddof=1)))


def _add_row(lines: dict[str, _Line], row: Row, window_seconds: float) -> None:
    line = lines.get(row.subject)
    if line is None:
        line = lines[row.subject] = _Line(row.variant, row.time, row.time)
    if row.variant != line.arm:
        # At the very same time it is the champion's answer to a request that the arm failed at.
        line.crossed |= row.time > line.latest
        return
    line.latest = row.time
    if line.requests and (window_seconds == 0 or row.time - line.since > window_seconds):
        return
    line.requests += 1
    line.failed += row.outcome == FAILED
    if row.outcome == OK:
        if not line.answers:
            line.first_seconds = row.seconds
        line.answers += 1
        line.seconds += row.seconds
    for name, value in row.counts.items():
        line.sums[f"counts.{name}"] = line.sums.get(f"counts.{name}", 0.0) + value


def _gathered(lines: Mapping[str, _Line], arms: Sequence[str], names: Iterable[str], until: float) -> Observations:
    ordered = sorted(lines.items(), key=lambda item: (item[1].since, item[0]))
    ripe = {arm: [(name, line) for name, line in ordered if line.arm == arm and line.since <= until] for arm in arms}
    return Observations(
        {arm: sum(line.arm == arm for line in lines.values()) for arm in arms},
        sum(line.crossed for line in lines.values()),
        {arm: tuple(name for name, _ in lines) for arm, lines in ripe.items()},
        {arm: _columns([line for _, line in lines], names) for arm, lines in ripe.items()},
    )


def _columns(lines: Sequence[_Line], names: Iterable[str]) -> dict[str, Floats]:
    answers = np.array([line.answers for line in lines], np.float64)
    seconds = np.array([line.seconds for line in lines], np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_seconds = np.where(answers > 0, seconds / answers, np.nan)
    return {
        "requests": np.array([line.requests for line in lines], np.float64),
        "error": np.array([line.failed for line in lines], np.float64),
        "seconds": mean_seconds,
        "seconds.sum": seconds,
        "seconds.first": np.array([line.first_seconds for line in lines], np.float64),
        **{name: np.array([line.sums.get(name, 0.0) for line in lines], np.float64) for name in names},
    }


def _column(columns: Mapping[str, Floats], name: str) -> Floats:
    # Nobody has said or counted it yet.
    return columns[name] if name in columns else np.zeros_like(columns["requests"])


def _single(metric: Metric) -> str:
    return "seconds.first" if metric.kind == "quantile" else metric.source


def _summed(source: str) -> str:
    return "seconds.sum" if source == "seconds" else source
