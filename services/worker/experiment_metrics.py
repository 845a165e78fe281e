"""What is shown of experiments: which are open, whom they have exposed, and why they were stopped."""

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from mlops.experiments.analysis import Look
from mlops.experiments.state import Experiment

CAUSES: Final = ("answer", "ratio", "guardrail", "privacy", "champion", "version", "person")
"""Why an experiment is stopped: it has an answer, its sample ratio is wrong, a guardrail is broken, an arm hides less
than the champion, another version is champion, a version cannot be brought or loaded, somebody says so."""


def cause(look: Look) -> str:
    """Return which of the causes a look that ends an experiment gives."""
    if look.health.mismatch:
        return "ratio"
    return "guardrail" if look.verdict.stop else "answer"


class ExperimentMetrics:
    """The metrics of a loop of experiments.

    Args:
        collectors: Where they are registered.
    """

    def __init__(self, collectors: CollectorRegistry) -> None:
        self._open = Gauge(
            "masker_experiments_open",
            "Experiments that split traffic, or wait for it.",
            ["endpoint", "state"],
            registry=collectors,
        )
        self._subjects = Gauge(
            "masker_experiment_subjects",
            "Subjects that the last look found in an arm.",
            ["endpoint", "arm"],
            registry=collectors,
        )
        self._ratio = Gauge(
            "masker_experiment_sample_ratio_p",
            "P-value, valid at all looks, that subjects came to the arms as planned.",
            ["endpoint"],
            registry=collectors,
        )
        self._stopped = Counter(
            "masker_experiments_stopped_total", "Experiments that were stopped, by why.", ["cause"], registry=collectors
        )
        self._shown: set[tuple[str, str]] = set()
        self._arms: set[tuple[str, str]] = set()
        for each in CAUSES:
            self._stopped.labels(each)

    def show(self, active: Sequence[Experiment]) -> None:
        """Show those that are open; endpoints without one any more show none, and no arms."""
        counts = Tally((each.plan.endpoint, "waiting" if each.began is None else "running") for each in active)
        self._shown |= counts.keys()
        for endpoint, state in self._shown:
            self._open.labels(endpoint, state).set(counts[endpoint, state])
        endpoints = {endpoint for endpoint, _ in counts}
        for endpoint, arm in [each for each in self._arms if each[0] not in endpoints]:
            self._forget(endpoint, arm)

    def looked(self, experiment: Experiment, look: Look) -> None:
        """Show what a look found."""
        endpoint = experiment.plan.endpoint
        for gone in [each for each in self._arms if each[0] == endpoint and each[1] not in look.health.subjects]:
            self._forget(*gone)
        for arm, count in look.health.subjects.items():
            self._arms.add((endpoint, arm))
            self._subjects.labels(endpoint, arm).set(count)
        self._ratio.labels(endpoint).set(look.health.ratio_p_always)

    def stopped(self, why: str) -> None:
        """Count an experiment that was stopped, by one of the causes."""
        self._stopped.labels(why).inc()

    def _forget(self, endpoint: str, arm: str) -> None:
        self._arms.discard((endpoint, arm))
        self._subjects.remove(endpoint, arm)
        if not any(each[0] == endpoint for each in self._arms):
            self._ratio.remove(endpoint)
