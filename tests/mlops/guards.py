"""Bounds of a guard, such as the settings give."""

from typing import Final

from mlops.rollout.guard import Guards

GUARDS: Final = Guards(
    most_error_increase=0.01,
    most_latency_ratio=1.3,
    latency_quantile=0.9,
    most_open_increase=0.0,
    most_detection_drop=0.1,
    most_utility_drop=0.05,
    minimum=50,
    minimum_judged=0,
    significance=1e-4,
    open_significance=5e-4,
)
