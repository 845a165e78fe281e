"""How sure a generic model is of an answer, which releases may be compared by."""

import numpy as np

from mlops.predictions.row import UTILITY
from services.serving.generic.answers import Share, first_and_probabilities


def confidence(share: Share | None) -> dict[str, float]:
    """Return the mean over the rows of an answer of their highest probability; nothing where there is none."""
    place = None if share is None else first_and_probabilities(share.outputs.model.outputs)[1]
    if share is None or place is None:
        return {}
    rows = share.array(place)
    if rows.ndim != 2 or not rows.size or rows.dtype.kind != "f":
        return {}
    mean = float(rows.max(axis=1).mean())
    return {UTILITY: mean} if np.isfinite(mean) else {}
