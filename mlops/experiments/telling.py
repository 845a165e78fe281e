"""A look as plain JSON values: the sentence first, the numbers under it. What is no number is null."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from mlops.experiments.analysis import Look
from mlops.experiments.compare import Interval
from mlops.experiments.health import Health
from mlops.experiments.verdict import Judged


def told(look: Look) -> Mapping[str, Any]:
    """Return what is kept and answered of a look."""
    return {
        "answer": look.verdict.answer,
        "arm": look.verdict.arm,
        "sentence": look.verdict.sentence,
        "reasons": list(look.verdict.reasons),
        "health": _health(look.health),
        "subjects": look.progress.subjects,
        "planned_subjects": look.progress.planned,
        "findings": [_finding(each) for each in look.found],
    }


def _health(health: Health) -> Mapping[str, Any]:
    return {
        "exposed": dict(health.subjects),
        "sample_ratio_p": _number(health.ratio_p),
        "sample_ratio_p_always_valid": _number(health.ratio_p_always),
        "sample_ratio_mismatch": health.mismatch,
        "crossed": health.crossed,
        "enough": health.enough,
        "warnings": list(health.warnings),
    }


def _finding(each: Judged) -> Mapping[str, Any]:
    finding = each.finding
    return {
        "arm": finding.arm,
        "metric": finding.metric,
        "state": each.state,
        "subjects": list(finding.subjects),
        "values": [_number(value) for value in finding.values],
        "effect": _interval(finding.effect),
        "lift": _interval(finding.lift),
        "size": _interval(finding.size),
        "p": _number(finding.p_value),
        "p_adjusted": _number(each.p_adjusted),
        "test": finding.test,
    }


def _interval(interval: Interval) -> Mapping[str, float | None]:
    return {"value": _number(interval.value), "low": _number(interval.low), "high": _number(interval.high)}


def _number(value: float) -> float | None:
    return float(value) if isfinite(value) else None
