"""Counts what variants did, for whoever watches: from rows, behind the answers, so that no request pays for it."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Final

from mlops.metrics import Metrics
from mlops.predictions.row import OK, Prediction

SAMPLE: Final = 200
"""Times of a batch that go into the histogram, at most."""


def tally(metrics: Metrics, rows: Sequence[Prediction]) -> None:
    """Count rows by endpoint, variant and outcome, and take a fair sample of how long answers took.

    Only answers made anew are timed: one out of the cache says nothing of a variant.
    """
    for labels, count in Counter((row.endpoint, row.variant, row.outcome) for row in rows).items():
        metrics.variant[labels].inc(count)
    made = [row for row in rows if row.outcome == OK and isfinite(row.seconds)]
    for row in made[:: -(-len(made) // SAMPLE) or 1]:
        metrics.variant_time[row.endpoint, row.variant].observe(row.seconds)
