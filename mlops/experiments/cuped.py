"""CUPED: take out of a metric what a subject's past tells of it, so that fewer subjects find the same effect.

Source: Deng, Xu, Kohavi, Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", 2013.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def adjusted(arms: Sequence[Floats], pasts: Sequence[Floats]) -> list[Floats]:
    """Return the values of every arm less what their past explains; means stay unbiased.

    Args:
        arms: Values of the subjects, one array for each arm.
        pasts: The same subjects' values before the experiment, which it cannot have changed; NaN for who has none, who
            counts as average.
    """
    everyone = np.concatenate(pasts)
    known = np.isfinite(everyone)
    if known.sum() < 2:
        return [np.asarray(values, np.float64) for values in arms]
    centre = everyone[known].mean()
    centred = [np.where(np.isfinite(past), past - centre, 0.0) for past in pasts]
    slope = _slope(arms, centred)
    return [values - slope * past for values, past in zip(arms, centred, strict=True)]


def _slope(arms: Sequence[Floats], pasts: Sequence[Floats]) -> float:
    # Within arms: an effect of the treatment is no relation to the past.
    pairs = [
        (values - values.mean(), past - past.mean()) for values, past in zip(arms, pasts, strict=True) if len(past)
    ]
    spread = sum(float(past @ past) for _, past in pairs)
    return sum(float(values @ past) for values, past in pairs) / spread if spread > 0 else 0.0
